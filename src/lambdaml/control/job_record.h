#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The files of a job's record, beside its checkpoints under `CHECKPOINT/JOB-ID/`.
namespace record {
/// The job's options and its channel, without passwords, JSON.
inline constexpr const char* kJob = "job.json";
/// How the job ended, JSON; absent while it runs and after success.
inline constexpr const char* kEnded = "ended.json";
/// The summary of a successful job, JSON.
inline constexpr const char* kSummary = "summary.json";
}  // namespace record

/// Writes the record; used by the job's trigger, by one thread.
class JobRecord {
 public:
  JobRecord(std::shared_ptr<storage::Storage> checkpoints, std::string job_id);

  /// Starts the record and removes what an earlier run of the job recorded about its end. 1 PUT, 2
  /// deletes.
  void begin(const Options& options);
  void finish(const std::string& summary);
  /// `state` is failed or stopped. Never throws: the job's own error takes precedence.
  void end(const std::string& state, const std::string& error) noexcept;
  /// Removes the record and the data record.
  void forget() noexcept;

 private:
  std::string key(const char* name) const { return job_id_ + "/" + name; }

  std::shared_ptr<storage::Storage> store_;
  std::string job_id_;
};

}  // namespace lambdaml::control
