#include "lambdaml/plan/calibration.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"
#include "lambdaml/plan/scratch.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::plan {
namespace {

constexpr std::size_t kSmall = 1000, kLarge = 4'000'000, kBatch = 32;
constexpr double kQuantiles[] = {0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1};

/// The store that stands for the folders of runs, and how long it is measured.
constexpr const char* kFolder = "folder";
constexpr double kFolder_s = 0.4;
/// Shorter measurements have no trial jobs.
constexpr double kTrials_s = 2;
/// Of a worker's process, where no finished job says it.
constexpr double kStart_ms = 40;

/// How long the workers of a finished job took to start.
void read_starts(const std::string& run, std::vector<double>& out) {
  const std::filesystem::path file = std::filesystem::path(run) / "workers.jsonl";
  const std::optional<Buffer> lines = read_file(file);
  if (!lines) fail(Code::not_found, "{}: no finished job is there: it has no workers.jsonl", run);
  for (const std::string& line : split(lines->text(), '\n')) {
    if (line.empty()) continue;
    const nlohmann::json report = parse_json(line);
    if (const auto start = report.find("startup_s"); start != report.end() && start->is_number())
      out.push_back(start->get<double>());
  }
}

/// What real jobs on this machine took.
struct Trials {
  double command_s = 0, step_s = 0;  ///< see sim::FunctionProfile
};

/// Small jobs over the channel, real and simulated by the profile measured so far: what the real
/// ones take longer is the work of the command and, of jobs with more steps, that of steps.
class TrialJobs {
 public:
  explicit TrialJobs(Uri channel) : channel_(std::move(channel)) {
    data::SyntheticOptions rows{.kind = "higgs", .rows = kRows, .features = 8, .seed = 1};
    rows_ = data::synthesize(rows);
  }

  /// Adds how long workers took to start; `measured` is asked for the profile after that.
  Trials run(std::vector<double>& starts, const std::function<std::string()>& measured) const {
    double few = real_s(kFewEpochs, starts), many = real_s(kManyEpochs, starts);
    const sim::Profile profile = sim::Profile::parse(measured(), "the measured profile");
    few -= simulated_s(kFewEpochs, profile);
    many -= simulated_s(kManyEpochs, profile);
    constexpr double kSteps = kStepsOfEpoch * (kManyEpochs - kFewEpochs);
    Trials out;
    out.step_s = std::max(0.0, many - few) / kSteps;
    out.command_s = std::max(0.0, few - kStepsOfEpoch * kFewEpochs * out.step_s);
    return out;
  }

 private:
  static constexpr std::uint64_t kRows = 400;
  static constexpr std::int64_t kWorkers = 2, kBatch = 20, kFewEpochs = 1, kManyEpochs = 9;
  /// Of a worker, which trains on nine tenths of its rows.
  static constexpr double kStepsOfEpoch = 0.9 * kRows / kWorkers / kBatch;
  static constexpr int kTimes = 3;

  Options job(std::int64_t epochs) const {
    Options out = job::job_options();
    const auto set = [&](const char* name, Option::Value value) {
      out.set(name, std::move(value), name);
    };
    set("data", std::string("memory"));
    set("model", std::string("lr"));
    set("optim", std::string("grad_avg"));
    set("epochs", epochs);
    set("workers", std::int64_t{kWorkers});
    set("batch_size", std::int64_t{kBatch});
    set("channel", channel_.text());
    return out;
  }

  double real_once_s(std::int64_t epochs, std::vector<double>& starts) const {
    const Scratch scratch;
    const std::string folder = (scratch.path() / "run").string();
    Options options = job(epochs);
    options.set("output", Option::Value(folder), "output");
    job::resolve(options);
    trigger::Observer silent;
    trigger::InMemory memory;
    memory.data = rows_;
    const auto summary = trigger::train(options, silent, memory);
    read_starts(folder, starts);
    return summary.at("wall_s").get<double>();
  }

  double real_s(std::int64_t epochs, std::vector<double>& starts) const {
    std::vector<double> seconds;
    for (int i = 0; i < kTimes; ++i) seconds.push_back(real_once_s(epochs, starts));
    return quantile(seconds, 0);  // the least disturbed by other programs
  }

  double simulated_s(std::int64_t epochs, const sim::Profile& profile) const {
    SimulatedWorld world;
    world.profile = profile;
    world.channel = profile.stores.front().name;
    world.rows = std::make_shared<const data::Dataset>(rows_);
    return simulate(in_world(job(epochs), world), world, 1).seconds;
  }

  const Uri channel_;
  data::Dataset rows_;
};

class Measurement {
 public:
  Measurement(const std::string& channel, double seconds, std::vector<double> starts)
      : starts_(std::move(starts)),
        uri_(storage::resolve(channel)),
        store_(storage::open(uri_ / ("calibrate-" + unique_id()))),
        seconds_(seconds) {
    store_->load("key");  // the connection is made
  }

  Calibration run() {
    Calibration out;
    try {
      measure_latencies(0.5 * seconds_);
      measure_batches();
      measure_bandwidth(0.8 * seconds_);
      measure_notice();
    } catch (const Error& error) {
      out.ended_by = error.what();
      if (puts_.size() < 3 || gets_.size() < 3) {
        clear();
        throw;
      }
    }
    clear();
    if (!out.ended_by && seconds_ >= kTrials_s) try {
        measure_folder();
        trials_ = TrialJobs(uri_).run(starts_, [this] { return yaml({}); });
      } catch (const Error& error) {
        out.ended_by = error.what();
      }
    out.requests = requests_;
    out.profile = yaml(out.ended_by);
    return out;
  }

 private:
  double timed(const std::function<void()>& request) {
    throw_if_interrupted();
    const Stopwatch clock;
    request();
    ++requests_;
    return clock.seconds();
  }

  void measure_latencies(double until_s) {
    const Buffer value(kSmall);
    for (std::size_t i = 0; puts_.size() < 5 || clock_.seconds() < until_s; ++i) {
      const std::string key = fmt::format("key/{}", i % 8);
      puts_.push_back(timed([&] { store_->save(key, value); }));
      gets_.push_back(timed([&] { store_->load(key); }));
      if (i % 4 == 0) lists_.push_back(timed([&] { store_->list("key/"); }));
      if (i % 4 == 1) removes_.push_back(timed([&] { store_->remove(key); }));
      if (puts_.size() > 20'000) break;
    }
  }

  /// Of runs in the current folder, where jobs on this machine save their checkpoints.
  void measure_folder() {
    const std::filesystem::path place =
        std::filesystem::current_path() / ("lambdaml-calibrate-" + unique_id());
    auto folder = std::make_unique<Measurement>(place.string(), kFolder_s, std::vector<double>());
    folder->measure_latencies(kFolder_s);
    folder->measure_bandwidth(kFolder_s);
    folder->clear();
    std::error_code ignored;
    std::filesystem::remove_all(place, ignored);
    requests_ += folder->requests_;
    folder_ = std::move(folder);
  }

  void measure_batches() {
    const Buffer value(kSmall);
    std::vector<std::string> keys;
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < kBatch; ++i) keys.push_back(fmt::format("batch/{}", i));
    for (const std::string& key : keys) items.push_back({key, value});
    std::vector<double> batches;
    for (int i = 0; i < 3; ++i) {
      store_->save_all(items);
      batches.push_back(timed([&] { store_->load_present(keys); }));
    }
    requests_ += 6 * kBatch;
    const double alone_s = kBatch * quantile(gets_, 0.5);
    parallel_ = std::clamp(std::round(alone_s / quantile(batches, 0.5)), 1.0, double{kBatch});
  }

  void measure_bandwidth(double until_s) {
    const Buffer value(kLarge);
    std::vector<double> up, down;
    while (up.size() < 3 || (up.size() < 20 && clock_.seconds() < until_s)) {
      up.push_back(timed([&] { store_->save("large", value); }) - quantile(puts_, 0.5));
      down.push_back(timed([&] { store_->load("large"); }) - quantile(gets_, 0.5));
    }
    put_per_s_ = kLarge / std::max(1e-6, quantile(up, 0.5));
    get_per_s_ = kLarge / std::max(1e-6, quantile(down, 0.5));
  }

  /// How long after a save a wait for it ends.
  void measure_notice() {
    std::vector<double> delays;
    for (int i = 0; i < 5; ++i) {
      const std::string key = fmt::format("notice/{}", i);
      const Stopwatch clock;
      double seen_s = 0;
      Background waiter([&] {
        store_->load_or_wait(key, Deadline::in(10));
        seen_s = clock.seconds();
      });
      pause_for(0.07);
      store_->save(key, {});
      const double saved_s = clock.seconds();
      waiter.get();
      delays.push_back(seen_s - saved_s);
    }
    pushes_ = quantile(delays, 0.5) < 2 * quantile(gets_, 0.5) + 0.001;
  }

  void clear() noexcept {
    const Tidying tidying;
    try {
      store_->clear("");
    } catch (const std::exception&) {
      // The next calibration has keys of its own.
    }
  }

  static void emit(YAML::Emitter& out, const char* name, const std::vector<double>& seconds) {
    if (seconds.empty()) return;
    out << YAML::Key << name << YAML::Value << YAML::Flow << YAML::BeginMap;
    for (const double p : kQuantiles)
      out << YAML::Key << fmt::format("p{:g}", 100 * p) << YAML::Value
          << std::round(1e6 * quantile(seconds, p)) / 1e3;
    out << YAML::EndMap;
  }

  static void emit_constant(YAML::Emitter& out, const char* name, double ms) {
    out << YAML::Key << name << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key << "always"
        << YAML::Value << ms << YAML::EndMap;
  }

  void emit_store(YAML::Emitter& out, const std::string& name) const {
    const storage::Capabilities capabilities = store_->capabilities();
    out << YAML::Key << name << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "scheme" << YAML::Value << uri_.scheme;
    emit(out, "put", puts_);
    emit(out, "get", gets_);
    emit(out, "list", lists_);
    emit(out, "remove", removes_);
    const auto rate = [&](const char* verb, double per_s) {
      if (per_s <= 0) return;
      out << YAML::Key << verb << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key << 1
          << YAML::Value << std::round(per_s / 1e4) / 100 << YAML::EndMap;
    };
    rate("put_mb_per_s", put_per_s_);
    rate("get_mb_per_s", get_per_s_);
    out << YAML::Key << "parallel" << YAML::Value << parallel_;
    out << YAML::Key << "pushes" << YAML::Value << pushes_;
    out << YAML::Key << "polling_is_expensive" << YAML::Value << capabilities.polling_is_expensive;
    if (capabilities.polling_is_quick)
      out << YAML::Key << "polling_is_quick" << YAML::Value << true;
    out << YAML::Key << "durable" << YAML::Value << capabilities.durable;
    out << YAML::EndMap;
  }

  std::string yaml(const std::optional<std::string>& ended_by) const {
    const std::time_t now = std::chrono::system_clock::to_time_t(wall_now());
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    const std::string date =
        fmt::format("{:04}-{:02}-{:02}", 1900 + utc.tm_year, 1 + utc.tm_mon, utc.tm_mday);
    YAML::Emitter out;
    out.SetDoublePrecision(6);
    out << YAML::Comment(
        fmt::format("Measured by lambdaml calibrate with {} requests{}", requests_,
                    ended_by ? "; ended early: " + printable(*ended_by) : std::string(".")));
    out << YAML::BeginMap;
    out << YAML::Key << "name" << YAML::Value << "measured";
    out << YAML::Key << "date" << YAML::Value << date;
    out << YAML::Key << "stores" << YAML::Value << YAML::BeginMap;
    emit_store(out, uri_.scheme);
    if (folder_) folder_->emit_store(out, kFolder);
    out << YAML::EndMap;
    if (folder_) out << YAML::Key << "checkpoints" << YAML::Value << kFolder;
    out << YAML::Key << "functions" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "least_mb" << YAML::Value << 1;
    out << YAML::Key << "most_mb" << YAML::Value << 1048576;
    out << YAML::Key << "mb_per_processor" << YAML::Value << 1024;
    // Functions are processes here, and share its processors.
    out << YAML::Key << "host_processors" << YAML::Value << processors();
    emit_constant(out, "invoke", 1);
    if (starts_.empty())
      emit_constant(out, "cold_start", kStart_ms);
    else
      emit(out, "cold_start", starts_);
    out << YAML::Key << "longest_s" << YAML::Value << 1e6;
    out << YAML::Key << "command_s" << YAML::Value << trials_.command_s;
    out << YAML::Key << "step_s" << YAML::Value << trials_.step_s;
    out << YAML::Key << "gb_second" << YAML::Value << 0;
    out << YAML::Key << "request" << YAML::Value << 0;
    out << YAML::EndMap << YAML::EndMap;
    return std::string(out.c_str()) + "\n";
  }

  std::vector<double> starts_;
  Trials trials_;
  std::unique_ptr<Measurement> folder_;
  const Uri uri_;
  const std::shared_ptr<storage::Storage> store_;
  const double seconds_;
  const Stopwatch clock_;
  std::size_t requests_ = 0;
  std::vector<double> puts_, gets_, lists_, removes_;
  double parallel_ = 1, put_per_s_ = 0, get_per_s_ = 0;
  bool pushes_ = false;
};

}  // namespace

Calibration calibrate(const std::string& channel, double seconds,
                      const std::vector<std::string>& runs) {
  std::vector<double> starts;
  for (const std::string& run : runs) read_starts(run, starts);
  return Measurement(channel, seconds, std::move(starts)).run();
}

}  // namespace lambdaml::plan
