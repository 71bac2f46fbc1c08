#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The files of a job's record, beside its checkpoints under `CHECKPOINT/JOB-ID/`.
namespace record {
/// What identifies the job and what an estimate of its end needs, without passwords, JSON.
inline constexpr const char* kJob = "job.json";
/// The resolved options, as in a run's folder; absent where the checkpoints are in that folder.
inline constexpr const char* kOptions = "job.yaml";
/// A line per epoch, as in a run's folder; the same.
inline constexpr const char* kMetrics = "metrics.jsonl";
/// What the workers reported; the same.
inline constexpr const char* kWorkers = "workers.jsonl";
/// How the job ended, JSON; absent while it runs and after success.
inline constexpr const char* kEnded = "ended.json";
/// The summary of a successful job, JSON.
inline constexpr const char* kSummary = "summary.json";
}  // namespace record

/// Writes the record; used by the job's trigger, by one thread.
class JobRecord {
 public:
  JobRecord(std::shared_ptr<storage::Storage> checkpoints, std::string job_id);

  /// Starts the record and removes what an earlier run of the job recorded about its end.
  /// `epochs_done`: before this run of it; `architecture` of its functions, if that is known. 1
  /// PUT, 2 deletes.
  void begin(const Options& options, std::uint64_t epochs_done = 0,
             const std::string& architecture = "");
  /// Puts a copy of a file of the run's folder beside the checkpoints: kOptions, kMetrics or
  /// kWorkers. 1 PUT. Never throws.
  void keep(const char* name, const std::string& lines) noexcept;
  void finish(const std::string& summary);
  /// `state` is failed or stopped. Never throws: the job's own error takes precedence.
  void end(const std::string& state, const std::string& error) noexcept;
  /// Removes all that the job has among the checkpoints: the record, the data record, logs, and
  /// parts of a checkpoint that is not complete. Keys of its channel, if that is the same place,
  /// stay. 7 deletes and, if the store can list, up to 2 LISTs and a delete per key found. Never
  /// throws.
  void forget() noexcept;

 private:
  std::string key(const char* name) const { return job_id_ + "/" + name; }

  std::shared_ptr<storage::Storage> store_;
  std::string job_id_;
};

}  // namespace lambdaml::control
