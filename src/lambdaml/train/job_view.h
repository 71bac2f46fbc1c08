#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

/// A job seen from outside, while it runs and afterwards, by any machine that reaches its storage.
///
/// Beside its checkpoints a job leaves, under `CHECKPOINT/JOB-ID/`: `job.json` (what it is and
/// where its channel is, without passwords), and when it has ended `ended.json` (how) and
/// `summary.json`. Where it stands lies in its channel as long as it runs.
namespace lambdaml::train {

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

class JobView {
 public:
  /// `run` is the folder of a run, or CHECKPOINT-URI/JOB-ID. Throws not_found, data_corrupt, and
  /// what the stores throw.
  static JobView open(const std::string& run);
  /// The jobs in a folder of runs or of checkpoints, or under a checkpoint URI, by name. Costs one
  /// LIST.
  static std::vector<std::string> list(const std::string& where);

  const std::string& job_id() const { return job_id_; }
  bool has_ended() const;
  /// One JSON object: job_id, state (running, done, paused, failed, stopped or interrupted), model,
  /// optim, sync_mode, workers, epochs, platform, epoch, round, rounds, started, finished
  /// (workers), or the summary. Costs about 4 GETs and 2 a worker.
  std::string status() const;
  /// Asks the job to stop; its trigger, or each of its workers, sees it within some seconds. Throws
  /// invalid_argument when it has ended.
  void stop() const;

  std::uint32_t workers() const;
  /// What a worker has written to its log, the newest 256 KB of it where it is kept beside the
  /// checkpoints: one GET.
  std::string log(std::uint32_t worker) const;

 private:
  JobView() = default;
  std::shared_ptr<storage::Storage> channel() const;
  bool is_locked() const;

  std::string run_;
  std::string job_id_;
  std::filesystem::path folder_;  ///< empty when opened by URI
  std::shared_ptr<storage::Storage> store_;
  std::string record_;  ///< job.json
};

}  // namespace lambdaml::train
