// What status, ls, logs, stop, resume and the trigger read of a job: records beside its
// checkpoints, words of its workers in its channel, the files of its run's folder. All of them may
// be anybody's.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/lease.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/job/metrics.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/summary.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/view/job_view.h"
#include "lambdaml/view/log_tail.h"

namespace {

using namespace lambdaml;
using fuzz::Input;
using fuzz::require;
using fuzz::require_code;
namespace fs = std::filesystem;

constexpr const char* kJob = "job-1";
constexpr std::size_t kMostCalls = 40;

const fs::path& scratch() {
  static const Scratch folder("lambdaml-fuzz-", shared_memory_folder());
  return folder.path();
}

/// Runs a reader: it gives something, or refuses what is there.
template <class Read>
void attempt(Read&& read) {
  try {
    read();
  } catch (const control::Superseded&) {
  } catch (const Error& error) {
    require_code(error,
                 {Code::data_corrupt, Code::invalid_argument, Code::not_found, Code::cancelled});
  }
}

class World {
 public:
  World()
      : channel_uri_("file://" + (scratch() / "channel").string()),
        records_uri_("memory://fuzz-job-records"),
        records_(storage::open(records_uri_)),
        channel_(control::open_channel(channel_uri_, kJob)) {}
  ~World() {
    records_->clear("");
    channel_->clear("");
  }

  void call(Input& input) {
    switch (input.below(8)) {
      case 0:
        return write_record(input);
      case 1:
        return write_end(input);
      case 2:
        return write_word(input);
      case 3:
        return view(input);
      case 4:
        return read_reports(input);
      case 5:
        return read_folder(input);
      case 6:
        return hold(input);
      default:
        return list();
    }
  }

 private:
  /// Any record, but for where its channel is: what is read shall be here.
  void write_record(Input& input) {
    const std::string text = input.text();
    nlohmann::json record = parse_json(text);
    if (!record.is_object()) {
      records_->save(std::string(kJob) + "/job.json", as_bytes(text));
      return;
    }
    record["channel"] = channel_uri_;
    if (count_at(record, "workers") > 64) record["workers"] = input.number() % 64;
    records_->save(std::string(kJob) + "/job.json", as_bytes(json_text(record)));
  }

  void write_end(Input& input) {
    constexpr const char* kNames[] = {"/ended.json", "/summary.json", "/log/0", "/log/1"};
    const std::string key = kJob + std::string(input.one_of(kNames));
    const std::string text = input.text();
    records_->save(key, as_bytes(text));
  }

  /// What a worker, or whoever is there instead, leaves in the channel.
  void write_word(Input& input) {
    const auto worker = static_cast<std::uint32_t>(input.below(3));
    const std::string keys[] = {control::keys::kJob,
                                control::keys::kProgress,
                                control::keys::started(worker),
                                control::keys::result(worker),
                                control::keys::failure(worker),
                                control::keys::metrics(1 + worker),
                                control::keys::claim(worker),
                                "lease/" + std::to_string(worker)};
    const std::string& key = input.one_of(keys);
    const std::string text = input.text();
    channel_->save(key, as_bytes(text));
  }

  void view(Input& input) const {
    attempt([&] {
      const view::JobView job = view::JobView::open(records_uri_ + "/" + kJob);
      static_cast<void>(job.has_ended());
      require(job.status().is_object());
      require(job.workers() > 0);
      view::LogTail tail;
      for (std::uint32_t worker = 0; worker < 2; ++worker) {
        const std::string log = job.log(worker);
        require(tail.news(log, input.flag()).text.size() <= log.size());
      }
      if (input.flag()) job.stop();
    });
  }

  /// What the trigger makes of its workers' last words, and of their metrics.
  void read_reports(Input& input) const {
    std::vector<Buffer> reports;
    for (std::uint32_t worker = 0; worker < 2; ++worker) {
      if (auto text = channel_->load(control::keys::result(worker))) {
        attempt([&] {
          job::WorkerStats sum;
          sum += job::WorkerStats::from_json(parse_json(text->text()));
          require(sum.to_json().is_object());
        });
        reports.push_back(std::move(*text));
      }
      if (const auto text = channel_->load(control::keys::metrics(1 + worker)))
        attempt([&] {
          const auto metrics = job::EpochMetrics::from_json(text->text());
          require(job::EpochMetrics::from_json(metrics.to_json()).epoch == metrics.epoch);
        });
    }
    attempt([&] {
      Options options = job::job_options();
      options.parse("model", input.flag() ? "lr" : "kmeans", "fuzz");
      options.parse("workers", "2", "fuzz");
      std::vector<std::string> texts;
      for (const Buffer& report : reports) texts.emplace_back(report.text());
      const nlohmann::json summary = job::summary_of({.options = options,
                                                      .job_id = kJob,
                                                      .data = {},
                                                      .reports = texts,
                                                      .trigger_usage = {},
                                                      .wall_s = 1,
                                                      .model_path = "model"});
      require(summary.is_object());
    });
  }

  void read_folder(Input& input) const {
    const fs::path folder = scratch() / "run";
    make_folder(folder);
    for (const char* name : {"run.json", "job.yaml", "summary.json", "metrics.jsonl"})
      if (input.flag()) write_file(folder / name, as_bytes(input.text()));
    attempt([&] { static_cast<void>(control::RunFolder::identify(folder)); });
    attempt([&] {
      control::RunFolder run = control::RunFolder::open(folder);
      static_cast<void>(run.options());
      static_cast<void>(run.summary());
      const std::uint64_t epoch = input.number();
      run.rewind(epoch, input.text());
    });
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  /// Who holds a lease and a worker's claim.
  void hold(Input& input) const {
    attempt([&] {
      control::Lease lease(channel_, "lease", Deadline::in(10));
      if (lease.take(Deadline::in(0)) != control::Lease::Taken::yes) return;
      lease.renew();
      if (input.flag()) lease.finish();
    });
    attempt([&] {
      control::WorkerClaim tenure(channel_, static_cast<std::uint32_t>(input.below(3)));
      if (input.flag()) tenure.claim();
      tenure.require();
    });
  }

  void list() const {
    attempt([&] {
      for (const std::string& run : view::JobView::list(records_uri_))
        attempt([&] { static_cast<void>(view::JobView::open(run).job_id()); });
    });
  }

  std::string channel_uri_, records_uri_;
  std::shared_ptr<storage::Storage> records_, channel_;
};

}  // namespace

/// Records are refused as damaged, or read as what they say.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::be_quiet();
  Input input(data, size);
  World world;
  for (std::size_t calls = 0; !input.empty() && calls < kMostCalls; ++calls) world.call(input);
  return 0;
}
