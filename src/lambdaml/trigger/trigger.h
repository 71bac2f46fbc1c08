#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/faas/invoker.h"
#include "lambdaml/job/metrics.h"
#include "lambdaml/trigger/staging.h"

/// The caller's side of a job: cuts the data, starts the workers, watches them and collects their
/// results.
namespace lambdaml::trigger {

/// The facts about a job whose workers are about to start.
struct JobStart {
  std::string job_id;
  std::filesystem::path folder;  ///< of the run
  std::string model;             ///< the plug-in's name
  std::string optimizer;
  std::uint64_t rows = 0;
  std::uint64_t features = 0;
  std::uint32_t workers = 0;
  std::uint64_t epochs = 0;
  std::int64_t memory_mb = 0;  ///< of each function, as deployed if it is
  std::string architecture;    ///< of the deployed function; empty: unknown
  std::string platform;        ///< the plug-in's name
};

/// Receives the events of a running job, on the thread that runs it. An exception ends the job,
/// which can be resumed.
class Observer {
 public:
  virtual ~Observer() = default;
  /// The data are known and the workers are about to start.
  virtual void starting(const JobStart&) {}
  virtual void epoch_done(const job::EpochMetrics&) {}
  /// About 20 times a second. `rounds` is 0 until the first progress within an epoch is known.
  virtual void tick(std::uint32_t /*workers_alive*/, std::uint64_t /*epoch*/,
                    std::uint64_t /*round*/, std::uint64_t /*rounds*/) {}
  virtual void worker_failed(std::size_t /*worker*/, const faas::EventStatus&, bool /*again*/) {}
};

/// Runs a job with resolved options to its end and returns its summary (job::summary_of). All
/// results are in the run's folder, which is removed if there are none: bad input, or stopped or
/// diverged before the first checkpoint. Afterwards the channel contains nothing of the job (unless
/// `keep`). Throws invalid_argument, not_found, already_exists, data_corrupt (bad input),
/// workers_lost, cancelled, limit_reached (the options `deadline` and `budget`), and what the
/// stores throw.
///
/// Data in `memory` take the place of those that the options `data` and `test_data` name; these
/// options then are only their names in messages. They must stay in place until the job has ended,
/// and a run that began with them is resumed with the same ones. Workers that are threads of this
/// process use them in place; for others they are staged in the channel.
nlohmann::ordered_json train(const Options& options, Observer& observer,
                             const InMemory& memory = {});

/// Resumes a run from the last checkpoint that all workers have, or from the start if there is
/// none. A run that has ended is unchanged, and its summary is returned; one that paused
/// (`stop_after`) continues to its end. If `changed` sets the option that counts the optimizer's
/// epochs, a run that ended by its epochs, or by `until` (which is dropped then), trains on to that
/// epoch: to the bitwise same model as one that was begun with so many, unless its learning rate
/// depends on the number (`cosine`). One that has converged stays as it is, with a warning; one
/// that ended by `patience` is refused. Bulk-synchronous runs end with the bitwise same model as if
/// never interrupted. Values in `changed` (see options_of_resuming) replace the run's own, this
/// time. Throws what train() throws.
nlohmann::ordered_json resume(const std::filesystem::path& run, Observer& observer,
                              const Options& changed = Options(std::vector<Option>()),
                              const InMemory& memory = {});

/// Runs a job under an id that the caller supplies: resumes from the checkpoints stored under that
/// id, whichever machine saved them, and otherwise starts from scratch. Its errors name no command
/// to continue with. An observer that throws Superseded ends it without cleanup: channel, record
/// and workers then belong to the process that took over. Otherwise like train().
nlohmann::ordered_json train_as(const std::string& job_id, const Options& options,
                                Observer& observer);

}  // namespace lambdaml::trigger
