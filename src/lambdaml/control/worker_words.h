#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/storage/storage.h"

/// What the workers of a job have left in its channel, for those who watch them. Each function
/// costs one batch of GETs, and throws what the store throws.
namespace lambdaml::control {

/// How a worker has ended.
struct WorkerEnd {
  bool has_failed = false;
  std::string text;  ///< its report, or why it gave up: JSON, not checked
};
/// In the order of `workers`; absent for one that has not ended. Two GETs a worker.
std::vector<std::optional<WorkerEnd>> ends_of_workers(storage::Storage& channel,
                                                      std::span<const std::uint32_t> workers);

/// How far a job is.
struct JobStanding {
  std::uint64_t started = 0;            ///< workers that have begun
  std::uint64_t finished = 0;           ///< workers that have reported
  std::optional<std::string> progress;  ///< of worker 0, JSON, not checked
};
/// Two GETs a worker and one.
JobStanding standing_of(storage::Storage& channel, std::uint32_t workers);

}  // namespace lambdaml::control
