#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/storage/storage.h"

/// What a job's workers have written to its channel, for processes that watch them. Each function
/// costs one batch of GETs and throws what the store throws.
namespace lambdaml::control {

/// How a worker ended.
struct WorkerEnd {
  bool has_failed = false;
  std::string text;  ///< its report, or why it failed: unchecked JSON
};
/// In the order of `workers`; nullopt for one that has not ended. Two GETs per worker.
std::vector<std::optional<WorkerEnd>> ends_of_workers(storage::Storage& channel,
                                                      std::span<const std::uint32_t> workers);

/// The progress of a job.
struct JobProgress {
  std::uint64_t started = 0;               ///< workers that have begun
  std::uint64_t finished = 0;              ///< workers that have reported
  std::optional<std::string> of_worker_0;  ///< unchecked JSON
  /// The newest sign of life, in ms since 1970; 0: none, or workers of an older version. Unchecked:
  /// it is by the clock of the worker that gave it, which may be ahead, so callers limit it to
  /// their own.
  std::uint64_t seen_ms = 0;
};
/// Two GETs per worker, and one more.
JobProgress progress_of_job(storage::Storage& channel, std::uint32_t workers);

}  // namespace lambdaml::control
