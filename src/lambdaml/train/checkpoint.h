#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::train {

/// Where a run stands between two epochs.
struct Progress {
  std::uint64_t epoch = 0;  ///< epochs done
  std::uint64_t round = 0;  ///< rounds merged
  bool operator==(const Progress&) const = default;
};

/// What a checkpoint says besides the state.
struct CheckpointNote {
  std::string ended_by;  ///< why this was the last epoch; empty when the run goes on
  std::string metrics;   ///< lines of metrics.jsonl of the last epochs, for whoever resumes the job
};

/// One worker's checkpoints. Two slots are written in turn, each atomically, so there is always a
/// whole one, and the newest that **all** workers have is among each worker's two: nobody can be a
/// checkpoint ahead of another by more than one, because a bulk-synchronous round in between needs
/// all. A checkpoint costs one PUT of the optimizer's state. Keys begin with the job's id, so jobs
/// can share a folder.
class Checkpoints {
 public:
  /// `fingerprint` is a text that is equal only for runs that may continue each other.
  Checkpoints(std::shared_ptr<storage::Storage> store, std::string job_id, std::string fingerprint,
              std::uint32_t worker, std::uint32_t workers);

  void save(const Progress& progress, optim::Optimizer& optimizer,
            const comm::Communicator& communicator, const CheckpointNote& note);

  /// The states that this worker could go back to, newest first. A damaged one does not count,
  /// unless there is no whole one: then throws data_corrupt.
  std::vector<Progress> available();

  /// The note saved with the checkpoint of that progress; empty when it is not there.
  CheckpointNote note(const Progress& progress);

  /// Removes what was saved after `epoch`: the job goes on from there, and a worker that is tried
  /// again must not jump ahead of the others.
  void forget_after(std::uint64_t epoch);

  /// Puts the checkpoint of that progress back. Throws not_found, data_corrupt, or invalid_argument
  /// when the run that made it had other options or data.
  void restore(const Progress& progress, optim::Optimizer& optimizer,
               comm::Communicator& communicator);

 private:
  struct Slot;
  std::vector<Slot> slots();
  std::string key(std::uint64_t slot) const;

  std::shared_ptr<storage::Storage> store_;
  std::string job_id_;
  std::string fingerprint_;
  std::uint32_t worker_;
  std::uint32_t workers_;
  std::uint64_t next_slot_ = 0;
};

}  // namespace lambdaml::train
