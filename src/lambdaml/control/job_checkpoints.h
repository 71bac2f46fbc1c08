#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/control/checkpoint.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The checkpoints of all workers of a job, as used by its trigger to resume it. Used by one
/// thread; throws what the store throws.
class JobCheckpoints {
 public:
  JobCheckpoints(const std::shared_ptr<storage::Storage>& store, const std::string& job_id,
                 std::uint32_t workers);

  /// Loads every state, so that newest_common() uses only what is whole now: for use after a worker
  /// has found its state damaged. Throws data_corrupt if all states of a worker are damaged.
  void read_states();

  /// The newest checkpoint that every worker has or, if workers continue independently (`together`
  /// is false), worker 0's newest one; nullopt if a worker has none. Two small GETs per worker, all
  /// in one batch. States are loaded, as by read_states(), only for workers without records, or for
  /// all workers if the records have no checkpoint in common.
  struct Start {
    Progress progress;
    std::string metrics;  ///< CheckpointNote::metrics of worker 0
  };
  std::optional<Start> newest_common(bool together);

  /// Checkpoints::forget_after() for all workers, in one batch.
  void forget_after(std::uint64_t epoch);

 private:
  void look_up();
  std::optional<Start> common_of_found(bool together);

  std::shared_ptr<storage::Storage> store_;
  std::vector<Checkpoints> workers_;
  bool known_ = false;
};

}  // namespace lambdaml::control
