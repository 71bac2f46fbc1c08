#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml::control {

/// The progress of a run between two epochs.
struct Progress {
  std::uint64_t epoch = 0;  ///< epochs done
  std::uint64_t round = 0;  ///< rounds merged
  bool operator==(const Progress&) const = default;
};

/// The contents of a checkpoint besides the state.
struct CheckpointNote {
  std::string ended_by;  ///< why this was the last epoch; empty if the run continues
  std::string metrics;   ///< the last epochs' lines of metrics.jsonl, for resuming the job
};

/// What can be known of a worker's state without loading it: a small JSON text beside the state,
/// saved after it, so that a record describes a state that is whole. It cannot reveal later damage,
/// or a state that a worker was about to save when it died, so a state is compared with its record
/// when it is loaded.
struct CommitRecord {
  Progress progress;
  CheckpointNote note;
  std::string key;             ///< of the state
  std::uint64_t bytes = 0;     ///< of the state
  std::uint64_t checksum = 0;  ///< contained in the state itself

  /// The record's own key: `JOB/W_P.S.commit` for `JOB/W_P.S.safetensors`.
  static std::string key_of(std::string_view state_key);

  /// Includes a checksum of itself.
  std::string to_json() const;
  /// Returns nullopt if the text is damaged or is not a record of the state under `state_key`.
  static std::optional<CommitRecord> from_json(std::string_view text, std::string_view state_key);
};

}  // namespace lambdaml::control
