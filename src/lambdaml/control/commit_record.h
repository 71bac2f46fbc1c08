#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml::control {

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

/// What there is to know of a worker's state without loading it: a small JSON text beside the
/// state, saved after it, so that a record tells of a state that is whole. It cannot tell of damage
/// that came afterwards, or of a state that a worker was about to save as it died: whoever loads a
/// state compares it with its record.
struct CommitRecord {
  Progress progress;
  CheckpointNote note;
  std::string key;             ///< of the state
  std::uint64_t bytes = 0;     ///< of the state
  std::uint64_t checksum = 0;  ///< that the state carries in itself

  /// The record's own key: `JOB/W_P.S.commit` for `JOB/W_P.S.safetensors`.
  static std::string key_of(std::string_view state_key);

  /// With a checksum of itself.
  std::string to_json() const;
  /// Absent for a text that is damaged, or is no record of the state under `state_key`.
  static std::optional<CommitRecord> from_json(std::string_view text, std::string_view state_key);
};

}  // namespace lambdaml::control
