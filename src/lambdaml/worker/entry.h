#pragma once

#include <functional>
#include <optional>
#include <string>

#include "lambdaml/control/worker_claim.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::worker {

/// How an attempt of a worker takes part in a job.
struct Entry {
  bool again = false;                 ///< an earlier attempt has begun
  std::optional<std::string> answer;  ///< there is nothing left to do: the response
};

/// Makes this the worker's valid attempt, unless there is nothing left to do: the job is over, was
/// resumed since the event was sent, or an earlier attempt has reported. `start` is the event's
/// TrainEvent::start; empty: not compared. 2 GETs and 2 PUTs for a first attempt, a GET more and a
/// PUT less for a later one. Throws JobIsLost if the channel has lost what a worker needs to begin,
/// and Stopped if the job was stopped.
Entry enter(storage::Storage& channel, control::WorkerClaim& claim, std::uint32_t worker,
            std::string_view start = {});

/// The response of work(), or that of an attempt that was superseded: whatever its error, a newer
/// attempt is running, and its report counts. Throws what work() throws otherwise.
std::string unless_superseded(control::WorkerClaim& claim,
                              const std::function<std::string()>& work);

/// Throws JobIsLost.
[[noreturn]] void fail_lost(const storage::Storage& channel, std::uint32_t worker);

}  // namespace lambdaml::worker
