#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/control/checkpoint.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The checkpoints of all workers of a job, as its trigger sees them when the job goes on. For one
/// thread; throws what the store throws.
class JobCheckpoints {
 public:
  JobCheckpoints(const std::shared_ptr<storage::Storage>& store, const std::string& job_id,
                 std::uint32_t workers);

  /// Loads every state, so that newest_common() knows what is whole now: after a worker has found
  /// its own damaged. Throws data_corrupt when a worker's states are all damaged.
  void read_states();

  /// The newest checkpoint that every worker has or, where each worker goes on from its own
  /// (`together` is false), worker 0's newest one; absent where a worker has none. Two small GETs a
  /// worker, all in one batch. Only workers of which no record tells anything, and all of them
  /// where the records name nothing common, have their states loaded, as read_states() does.
  struct Start {
    Progress progress;
    std::string metrics;  ///< CheckpointNote::metrics of worker 0
  };
  std::optional<Start> newest_common(bool together);

  /// Checkpoints::forget_after() of all workers, in one batch.
  void forget_after(std::uint64_t epoch);

 private:
  void look_at();
  std::optional<Start> common_of_found(bool together);

  std::shared_ptr<storage::Storage> store_;
  std::vector<Checkpoints> workers_;
  bool known_ = false;
};

}  // namespace lambdaml::control
