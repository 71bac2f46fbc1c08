#include "lambdaml/trigger/run.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/data_record.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/job_checkpoints.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/job/summary.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/tensorboard/event_file.h"
#include "lambdaml/trigger/channel_status.h"
#include "lambdaml/trigger/engine_process.h"
#include "lambdaml/trigger/platform.h"
#include "lambdaml/trigger/reach.h"

namespace lambdaml::trigger {
namespace {

using nlohmann::json;

/// More are not kept.
constexpr std::size_t kMostFailedAttempts = 10'000;

/// A running job.
class Run {
 public:
  Run(const RunningJob& job, control::RunFolder& folder, control::JobChannel& channel,
      Observer& observer)
      : options_(job.options),
        architecture_(job.architecture),
        checkpoints_in_folder_(job.checkpoints_in_folder),
        folder_(folder),
        job_channel_(channel),
        channel_(channel.store()),
        stores_(channel.stores()),
        observer_(observer) {}

  nlohmann::ordered_json run(const StagedData& staged, Begin begin, const Stopwatch& wall) {
    begin_ = begin;
    const optim::Plugin& optimizer = optim::registry().get(options_.text("optim"));
    observer_.starting(
        {.job_id = folder_.job_id(),
         .folder = folder_.path(),
         .model = options_.text("model"),
         .optimizer = optimizer.name,
         .rows = staged.data.rows(),
         .features = staged.data.features,
         .workers = workers(),
         .epochs = static_cast<std::uint64_t>(options_.integer(optimizer.epochs_option)),
         .memory_mb = options_.integer("memory_mb"),
         .architecture = architecture_,
         .platform = options_.text("platform")});
    job::TrainEvent event = make_event(staged);
    const auto checkpoints = stores_.open(options_.text("checkpoint"));
    control::DataRecord files(checkpoints, folder_.job_id());
    if (begin == Begin::anew) {
      files.begin(staged.files);
    } else {
      files.require_same(staged.files);
      find_common_checkpoint(event);
    }
    if (const std::string& place = options_.text("tensorboard"); !place.empty())
      event_file_.emplace(place, folder_.job_id(), next_metrics_ - 1);
    control::JobRecord record(checkpoints, folder_.job_id());
    record.begin(options_, next_metrics_ - 1, architecture_);
    if (!checkpoints_in_folder_ &&
        Uri::parse(options_.text("checkpoint")).text() != folder_.checkpoint_uri()) {
      record_ = &record;
      keep_beside_checkpoints(control::record::kOptions);
    }
    channel_.save(control::keys::kJob, as_bytes(event.start));
    try {
      start(event, staged);
      const std::vector<std::string> reports = watch(wall);
      nlohmann::ordered_json summary = collect(staged, reports, event.sent_ms, wall);
      record.finish(json_text(summary));
      return summary;
    } catch (const control::Superseded&) {
      throw;
    } catch (...) {
      if (job::is_remote(options_)) job_channel_.stop(workers(), at_work());
      throw;
    }
  }

 private:
  std::uint32_t workers() const { return static_cast<std::uint32_t>(options_.integer("workers")); }

  /// Waits until all workers have ended successfully, reports their progress to the observer, and
  /// returns their reports.
  std::vector<std::string> watch(const Stopwatch& wall) {
    const double limit_s = options_.real("deadline");
    const Deadline limit = limit_s > 0 ? Deadline::in(limit_s) : Deadline::never();
    const double budget = options_.real("budget");
    const job::RunningCost bill =
        job::running_bill(options_, options_.integer("memory_mb"),
                          channel_.capabilities().writes_per_s, architecture_);
    const std::uint64_t first_epoch = next_metrics_;
    const Stopwatch running;
    // Where polling is expensive, showing the progress once a second is enough.
    const double pause_s = channel_.capabilities().polling_is_expensive ? 1 : 0;
    double next_poll_s = wall.seconds() + pause_s;
    double next_check_s = wall.seconds() + 1;
    std::vector<std::string> responses = wait_for_all(*invocations_, [&] {
      report_failures();
      const std::vector<faas::EventStatus> workers = invocations_->status();
      for (const faas::EventStatus& worker : workers) require_begun(worker.response);
      if (wall.seconds() >= next_poll_s) {
        next_poll_s = wall.seconds() + pause_s;
        read_metrics();
        keep_metrics(wall);
        read_progress();
        if (channel_.load(control::keys::kStop))
          fail(Code::cancelled, "job {}: stopped by lambdaml stop", folder_.job_id());
      }
      if (wall.seconds() >= next_check_s) {
        next_check_s = wall.seconds() + 1;
        keep_job_key(workers);
      }
      report_progress(workers);
      if (limit.passed())
        fail(Code::limit_reached, "job {}: stopped after {} s, as --deadline says",
             folder_.job_id(), limit_s);
      if (budget > 0 && bill.after(running.seconds(), rounds_since(first_epoch)) >= budget)
        fail(Code::limit_reached, "job {}: stopped when it had cost ${:.4g}, as --budget says",
             folder_.job_id(), budget);
    });
    report_failures();
    for (const std::string& response : responses) require_begun(response);
    read_metrics();
    return responses;
  }

  /// Ends the job if a worker found nothing to begin with, before the others wait for it.
  void require_begun(std::string_view response) const {
    if (response == control::kJobIsOver) fail_lost(control::keys::kJob);
    if (response == control::kJobIsLost) fail_lost(control::keys::kData);
    // Others would wait for it in vain: here, no two attempts of a worker run at the same time.
    if (response == control::kTakenOver && !job::is_remote(options_))
      fail(Code::unavailable,
           "channel {}: a worker of job {} left, because it read that another attempt of it is "
           "running; there is none, so the channel does not contain what this job wrote",
           channel_.describe(), folder_.job_id());
    if (response != control::kCheckpointDamaged) return;
    const std::string message = fmt::format(
        "job {}: a worker cannot go on from its checkpoint, which was damaged", folder_.job_id());
    if (begin_ == Begin::by_records) throw control::DamagedCheckpoint(message);
    fail(Code::data_corrupt, "{}; its log says more", message);
  }

  [[noreturn]] void fail_lost(std::string_view key) const {
    fail(Code::unavailable,
         "channel {} has no '{}' any more: another process has cleared it, or it has lost what the "
         "job wrote",
         channel_.describe(), key);
  }

  /// Keeps the job's key in place for as long as the job runs. A store that is not durable may lose
  /// it with everything else. Running workers restore what they still need from each other; but
  /// finished workers do not, and none can begin.
  void keep_job_key(const std::vector<faas::EventStatus>& workers) {
    if (channel_.load(control::keys::kJob)) return;
    const bool all_at_work = std::ranges::all_of(workers, [](const faas::EventStatus& worker) {
      return worker.state == faas::EventStatus::State::running;
    });
    if (channel_.capabilities().durable || !all_at_work) fail_lost(control::keys::kJob);
    log::warning("channel {}: it has lost what the job wrote; its workers put back what they need",
                 channel_.describe());
    channel_.save(control::keys::kJob, as_bytes(control::keys::kLost));
  }

  /// Whether workers wait for each other in each round.
  bool all_together() const {
    return comm::registry().get(options_.text("sync_mode")).bulk_synchronous;
  }

  /// The workers whose end is unknown.
  std::vector<std::uint32_t> at_work() const {
    return invocations_ ? workers_at_work(invocations_->status())
                        : workers_at_work(std::vector<faas::EventStatus>(workers()));
  }

  job::TrainEvent make_event(const StagedData& staged) {
    job::TrainEvent event;
    event.job_id = folder_.job_id();
    event.options = options_;
    event.data = staged.data;
    event.data_uri = staged.data_uri;
    event.test = staged.test;
    event.test_uri = staged.test_uri;
    if (staged.definition) event.definition = data::content_of(*staged.definition);
    if (staged.init) event.init = data::content_of(*staged.init->bytes);
    event.start = fmt::format("{:016x}", unique_number());
    event.sent_ms = epoch_ms();
    return event;
  }

  /// The newest round at which every worker has a checkpoint; asynchronous workers each continue
  /// from their own.
  void find_common_checkpoint(job::TrainEvent& event) {
    control::JobCheckpoints checkpoints(stores_.open(options_.text("checkpoint")), folder_.job_id(),
                                        workers());
    if (begin_ == Begin::by_states) checkpoints.read_states();
    const auto start = checkpoints.newest_common(all_together());
    if (!start) {
      log::warning("run {}: no checkpoint that all workers have; starting over", folder_.job_id());
      checkpoints.forget_after(0);
      folder_.rewind(0, "");
      return;
    }
    require_epochs_left(start->progress.epoch);
    event.resume = true;
    next_metrics_ = start->progress.epoch + 1;
    folder_.rewind(start->progress.epoch, start->metrics);
    if (all_together()) {
      event.resume_round = start->progress.round;
      checkpoints.forget_after(start->progress.epoch);
    }
    log::info("continuing after epoch {}", start->progress.epoch);
  }

  /// A job may be resumed with another number of epochs.
  void require_epochs_left(std::uint64_t done) const {
    const std::string& option = optim::registry().get(options_.text("optim")).epochs_option;
    if (done > static_cast<std::uint64_t>(options_.integer(option)))
      fail(Code::invalid_argument, "run {}: it has done {} epochs already, and {} is {}",
           folder_.job_id(), done, flag_of(option), options_.integer(option));
  }

  void start(job::TrainEvent& event, const StagedData& staged) {
    const auto content_of_part = [](const data::Manifest& manifest, std::uint32_t worker) {
      return worker < manifest.part_files.size() ? std::optional(manifest.part_files[worker])
                                                 : std::nullopt;
    };
    const Platform platform(options_.text("platform"), options_, channel_);
    faas::Function function = platform.function_for(options_);
    function.log_folder = folder_.log_folder();
    function.all_at_once = all_together();
    if (job::is_remote(options_)) {
      // Bulk-synchronous workers only progress together.
      function.query_status =
          status_by_channel(stores_.open_channel(options_.text("channel"), folder_.job_id()),
                            [this] { return news_.load(); });
    }
    function.worth_a_retry = control::is_worth_another_attempt;
    function.goes_on = [](const std::string& response) {
      return response == control::kToBeContinued;
    };
    std::vector<std::string> payloads;
    for (event.worker = 0; event.worker < workers(); ++event.worker) {
      event.part = content_of_part(staged.data, event.worker);
      if (staged.test) event.test_part = content_of_part(*staged.test, event.worker);
      payloads.push_back(job::to_json(event));
    }
    invocations_ = platform.invoke_all(
        function, std::move(payloads),
        [this](std::size_t worker, const faas::EventStatus& status, bool again) {
          const std::lock_guard lock(failures_mutex_);
          failures_.push_back({worker, status, again});
        });
  }

  /// Failures arrive on the invoker's thread; the observer is called on this one.
  void report_failures() {
    std::vector<FailedAttempt> failures;
    {
      const std::lock_guard lock(failures_mutex_);
      failures.swap(failures_);
    }
    for (const FailedAttempt& failed : failures) {
      if (failed_attempts_.size() < kMostFailedAttempts)
        failed_attempts_.push_back({{"worker", failed.worker},
                                    {"at_ms", epoch_ms()},
                                    {"error", printable(failed.status.error_message, 500)},
                                    {"again", failed.again}});
      observer_.worker_failed(failed.worker, failed.status, failed.again);
    }
  }

  /// workers.jsonl (docs/how-to/report.md): a line of the trigger, and the workers' reports.
  std::string lines_of(const std::vector<std::string>& reports, std::int64_t sent_ms) const {
    const json own{{"version", LAMBDAML_VERSION},
                   {"sent_ms", sent_ms},
                   {"ended_ms", epoch_ms()},
                   {"usage", cost::to_json(stores_.usage())},
                   {"failed_attempts", failed_attempts_}};
    std::string lines = json_text(json{{"trigger", own}}) + "\n";
    for (const std::string& report : reports) lines += report + "\n";
    return lines;
  }

  void read_metrics() {
    while (const std::optional<Buffer> text =
               channel_.load(control::keys::metrics(next_metrics_))) {
      job::EpochMetrics metrics;
      try {
        metrics = job::EpochMetrics::from_json(text->text());
      } catch (const Error& error) {
        fail(error.code(), "{}/{}: {}", channel_.describe(), control::keys::metrics(next_metrics_),
             error.what());
      }
      folder_.add(metrics);
      if (event_file_) event_file_->add_epoch(metrics.epoch, metrics.values);
      observer_.epoch_done(metrics);
      ++next_metrics_;
      ++news_;
    }
  }

  /// Copies a file of the run's folder to where other machines find it.
  void keep_beside_checkpoints(const char* name) const {
    if (record_ == nullptr) return;
    if (const std::optional<Buffer> bytes = read_file(folder_.path() / name))
      record_->keep(name, std::string(bytes->text()));
  }

  /// A copy of the metrics, now and then: a PUT each.
  void keep_metrics(const Stopwatch& wall) {
    constexpr double kPause_s = 5;
    if (record_ == nullptr || next_metrics_ == kept_metrics_ || wall.seconds() < next_keep_s_)
      return;
    next_keep_s_ = wall.seconds() + kPause_s;
    kept_metrics_ = next_metrics_;
    keep_beside_checkpoints(control::record::kMetrics);
  }

  void read_progress() {
    const std::optional<Buffer> text = channel_.load(control::keys::kProgress);
    if (!text) return;
    const json at = parse_json(text->text());
    const auto before = std::pair(at_.epoch, at_.round);
    at_.epoch = count_at(at, "epoch");
    at_.round = count_at(at, "round");
    if (before != std::pair(at_.epoch, at_.round)) ++news_;
    at_.rounds = count_at(at, "rounds");
  }

  double rounds_since(std::uint64_t first_epoch) const {
    if (at_.epoch < first_epoch) return 0;
    return static_cast<double>((at_.epoch - first_epoch) * at_.rounds + at_.round);
  }

  void report_progress(const std::vector<faas::EventStatus>& workers) {
    std::uint32_t alive = 0;
    for (const faas::EventStatus& status : workers)
      alive += status.state == faas::EventStatus::State::running ? 1 : 0;
    observer_.tick(alive, at_.epoch, at_.round, at_.rounds);
  }

  nlohmann::ordered_json collect(const StagedData& staged, const std::vector<std::string>& reports,
                                 std::int64_t sent_ms, const Stopwatch& wall) {
    // Worker 0 saves it before it reports.
    std::optional<Buffer> bytes = channel_.load(control::keys::kModel);
    if (!bytes) fail_lost(control::keys::kModel);
    const auto model = std::make_shared<const Buffer>(std::move(*bytes));
    job::require_whole_model(
        model, fmt::format("channel {}/{}", channel_.describe(), control::keys::kModel));
    nlohmann::ordered_json summary = job::summary_of({.options = options_,
                                                      .job_id = folder_.job_id(),
                                                      .data = staged.data,
                                                      .reports = reports,
                                                      .preparing = staged.preparing,
                                                      .trigger_usage = stores_.usage(),
                                                      .wall_s = wall.seconds(),
                                                      .model_path = folder_.model_path()});
    write_exported(model);
    if (event_file_) event_file_->add_weights(next_metrics_ - 1, model);
    folder_.keep_reports(lines_of(reports, sent_ms));
    for (const char* name : {control::record::kMetrics, control::record::kWorkers})
      keep_beside_checkpoints(name);
    folder_.finish(*model, json_text(summary));
    return summary;
  }

  /// The trained module of a model that a file defines, beside model.safetensors.
  void write_exported(const std::shared_ptr<const Buffer>& bytes) const {
    if (model::registry().get(options_.text("model")).file_option.empty()) return;
    const std::optional<Buffer> file =
        needs_engine_process(options_) ? exported_by_process(options_, *bytes) : exported(bytes);
    if (file) write_file(folder_.path() / "model.pt", *file);
  }

  const Options& options_;
  const std::string& architecture_;
  const bool checkpoints_in_folder_;
  control::RunFolder& folder_;
  control::JobChannel& job_channel_;
  storage::Storage& channel_;
  control::Stores& stores_;
  Observer& observer_;
  Begin begin_ = Begin::anew;
  struct FailedAttempt {
    std::size_t worker;
    faas::EventStatus status;
    bool again;
  };
  std::mutex failures_mutex_;
  std::vector<FailedAttempt> failures_;
  json failed_attempts_ = json::array();  ///< those that were reported, for lines_of()
  std::uint64_t next_metrics_ = 1;
  std::optional<tensorboard::EventFile> event_file_;
  control::JobRecord* record_ = nullptr;  ///< unless it is in the run's folder
  std::uint64_t kept_metrics_ = 0;        ///< next_metrics_ when they were copied last
  double next_keep_s_ = 0;
  std::atomic<std::uint64_t> news_{0};  ///< grows with every sign of life
  /// The position that worker 0 reported.
  struct {
    std::uint64_t epoch = 0, round = 0, rounds = 0;
  } at_;
  std::unique_ptr<faas::Invocations>
      invocations_;  ///< destroyed before everything that its observer uses
};

}  // namespace

nlohmann::ordered_json run_workers(const RunningJob& job, control::RunFolder& folder,
                                   control::JobChannel& channel, const StagedData& staged,
                                   Begin begin, const Stopwatch& wall, Observer& observer) {
  return Run(job, folder, channel, observer).run(staged, begin, wall);
}

}  // namespace lambdaml::trigger
