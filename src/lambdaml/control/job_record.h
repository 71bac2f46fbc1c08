#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The files of a job's record, which lie beside its checkpoints under `CHECKPOINT/JOB-ID/`.
namespace record {
/// What the job is and where its channel is, without passwords, JSON.
inline constexpr const char* kJob = "job.json";
/// How it has ended, JSON; absent while it runs, and when it ended well.
inline constexpr const char* kEnded = "ended.json";
/// The summary of a job that has ended well, JSON.
inline constexpr const char* kSummary = "summary.json";
}  // namespace record

/// Written by the trigger of a job.
class JobRecord {
 public:
  JobRecord(std::shared_ptr<storage::Storage> checkpoints, std::string job_id);

  /// Removes what an earlier run of the job said of its end. 1 PUT, 2 deletes.
  void begin(const Options& options);
  void finish(const std::string& summary);
  /// `state` is failed or stopped. Never throws: the job's own error is what counts.
  void end(const std::string& state, const std::string& error) noexcept;
  /// Removes all of it, and what is known of the job's data.
  void forget() noexcept;

 private:
  std::string key(const char* name) const { return job_id_ + "/" + name; }

  std::shared_ptr<storage::Storage> store_;
  std::string job_id_;
};

}  // namespace lambdaml::control
