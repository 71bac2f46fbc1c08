#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {
class Stores;
}

/// A job seen from outside, during and after its run, from any machine with access to its storage:
/// what its record (control/job_record.h) and, while it runs, its channel contain.
namespace lambdaml::view {

/// Thread-safe: it does not change after open().
class JobView {
 public:
  /// `run` is a run folder or CHECKPOINT-URI/JOB-ID. Throws not_found, data_corrupt, and what the
  /// stores throw.
  static JobView open(const std::string& run);
  /// The names of the jobs in a folder of runs or of checkpoints, or under a checkpoint URI. Costs
  /// one LIST.
  static std::vector<std::string> list(const std::string& where);

  const std::string& job_id() const { return job_id_; }
  bool has_ended() const;
  /// One JSON object: job_id, state (running, done, paused, failed, stopped or interrupted), model,
  /// optim, sync_mode, workers, epochs, platform, begun_ms, epoch, round, rounds, started, finished
  /// (workers), or the summary; advice for an interrupted job. Of a job without a summary also
  /// metrics (of the last epoch, with its number in metrics_epoch), seen_ms (the last sign of life)
  /// and, where they can be estimated, elapsed_s, left_s (if all epochs are needed),
  /// cost_so_far_usd and cost_usd_at_end: the functions alone, by their time; of an interrupted job
  /// until its last sign of life. Costs about 5 GETs and, unless the job has ended, 2 per worker.
  /// If all workers have reported and the job has not ended, it first waits some seconds for that.
  ///
  /// Where it cannot be seen whether the job's command runs, because the run's folder is elsewhere,
  /// a job is interrupted if all of its functions must have reached their time limit since its last
  /// sign of life.
  nlohmann::ordered_json status() const;
  /// The same, at the same cost, for a caller who knows that nobody runs the job: it does not wait
  /// for its end. The channel is opened with `stores`: for a server that is gone it waits 5 s
  /// (PatiencePolicy::first_contact_s), and not again for other jobs with the same `stores`.
  nlohmann::ordered_json status_of_abandoned(control::Stores& stores) const;
  /// Requests the job to stop; its trigger, or each of its workers, notices within some seconds.
  /// Throws invalid_argument if it has ended.
  void stop() const;

  std::uint32_t workers() const { return workers_; }
  /// A worker's log; if it is kept beside the checkpoints, its newest 256 KB: one GET.
  std::string log(std::uint32_t worker) const;

 private:
  JobView() = default;
  std::shared_ptr<storage::Storage> channel() const;
  std::optional<Buffer> load_summary() const;
  bool is_locked() const;
  bool is_remote() const;
  bool add_end(nlohmann::ordered_json& status) const;
  bool add_progress(storage::Storage& channel, nlohmann::ordered_json& status) const;
  bool is_silent(const nlohmann::ordered_json& status) const;
  std::optional<double> longest_function_s() const;
  std::string advice(const nlohmann::ordered_json& status) const;
  /// `of_abandoned`: null if it may run.
  nlohmann::ordered_json status(control::Stores* of_abandoned) const;
  bool is_awaited(storage::Storage& channel, nlohmann::ordered_json& status) const;
  void add_metrics(nlohmann::ordered_json& status) const;
  std::optional<std::int64_t> last_epoch_ms() const;
  void add_last_sign(storage::Storage* channel, nlohmann::ordered_json& status) const;
  void add_estimates(nlohmann::ordered_json& status, std::int64_t until_ms) const;

  std::string run_;
  std::string job_id_;
  std::filesystem::path folder_;  ///< empty when opened by URI
  std::shared_ptr<storage::Storage> store_;
  /// job.json, an object; the summary of a job whose record has been removed.
  std::shared_ptr<const nlohmann::json> record_;
  std::uint32_t workers_ = 0;
};

}  // namespace lambdaml::view
