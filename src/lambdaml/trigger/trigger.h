#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/faas/invoker.h"
#include "lambdaml/job/metrics.h"

/// The caller's side of a job: cuts the data, starts the workers, watches them, collects what they
/// leave.
namespace lambdaml::trigger {

/// What is known of a job as its workers are about to start.
struct JobStart {
  std::string job_id;
  std::string model;  ///< the plug-in's name
  std::string optimizer;
  std::uint64_t rows = 0;
  std::uint64_t features = 0;
  std::uint32_t workers = 0;
  std::uint64_t epochs = 0;
};

/// Told what happens while a job runs, on the thread that runs it. What it throws ends the job,
/// which can be resumed.
class Observer {
 public:
  virtual ~Observer() = default;
  /// The data are known and the workers about to start.
  virtual void starting(const JobStart&) {}
  virtual void epoch_done(const job::EpochMetrics&) {}
  /// About 20 times a second. `rounds` is 0 until the first news from within an epoch.
  virtual void tick(std::uint32_t /*workers_alive*/, std::uint64_t /*epoch*/,
                    std::uint64_t /*round*/, std::uint64_t /*rounds*/) {}
  virtual void worker_failed(std::size_t /*worker*/, const faas::EventStatus&, bool /*again*/) {}
};

/// Runs a job with resolved options to its end and returns its summary (job::summary_of). The run's
/// folder holds everything; it is removed again when the job came to nothing: bad input, stopped or
/// diverged before the first checkpoint. The channel holds nothing of the job afterwards (unless
/// `keep`). Throws invalid_argument, not_found, already_exists, data_corrupt (bad input),
/// workers_lost, cancelled, limit_reached (the option `deadline`), and what the stores throw.
nlohmann::ordered_json train(const Options& options, Observer& observer);

/// Goes on from the last checkpoint that all workers have, or from the start when there is none. A
/// run that has ended is left as it is: its summary is returned. One that paused (`stop_after`)
/// goes on to its end. Bulk-synchronous runs end with the model, bit by bit, of a run that was
/// never interrupted. What is set in `changed` (see options_of_resuming) replaces the run's own
/// values, this time.
nlohmann::ordered_json resume(const std::filesystem::path& run, Observer& observer,
                              const Options& changed = Options(std::vector<Option>()));

/// Runs a job under an id that the caller supplies: resumes from the checkpoints stored under that
/// id, whichever machine made them, and otherwise starts from scratch. Its errors name no command
/// to go on with. An observer that throws Superseded ends it without a trace: channel, record and
/// workers belong to the process that took over. Otherwise as train().
nlohmann::ordered_json train_as(const std::string& job_id, const Options& options,
                                Observer& observer);

}  // namespace lambdaml::trigger
