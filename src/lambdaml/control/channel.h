#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/storage.h"

/// Where a job's workers meet, and the keys there except those of rounds and data.
namespace lambdaml::control {

/// The job's own part of a channel: retried, metered (if `meter` is given), free of size limits,
/// and below `JOB-ID/`, so that two jobs in one store never see each other's keys.
std::shared_ptr<storage::Storage> open_channel(const std::string& uri, const std::string& job_id,
                                               std::shared_ptr<storage::Meter> meter = nullptr);

/// A channel whose calls throw cancelled once the invocation must stop; `channel` itself on
/// platforms that end functions from outside.
std::shared_ptr<storage::Storage> stoppable(std::shared_ptr<storage::Storage> channel,
                                            const faas::Invocation& invocation);

/// The channel for a worker's rounds, in a job and in `bench comm`: stoppable, and calling `check`
/// (whether the worker's claim is still valid) before each operation and during waits. A check
/// during a wait may poll the channel, so it comes after 1 s and later every 2 s, or every 8 s
/// where polling is expensive.
std::shared_ptr<storage::Storage> channel_of_rounds(std::shared_ptr<storage::Storage> channel,
                                                    const faas::Invocation& invocation,
                                                    std::function<void()> check);

namespace keys {
inline constexpr const char* kData = "data/";  ///< prefix of the staged training set
inline constexpr const char* kTest = "test/";  ///< prefix of the staged test set
/// The file that defines the model, for models that have one.
inline constexpr const char* kDefinition = "definition";
inline constexpr const char* kModel = "result/model";
/// Exists from before the first worker is started until the job has ended and its keys are cleared.
inline constexpr const char* kJob = "job";
/// The value of kJob once the channel has lost what the trigger had put there: running workers
/// restore each other's messages, but none can begin.
inline constexpr std::string_view kLost = "lost";
/// Exists once the job must stop, for its trigger and for workers that begin.
inline constexpr const char* kStop = "stop";
/// Exists from a worker's first attempt on, so that later attempts can tell.
std::string started(std::uint32_t worker);
/// Which of several concurrent attempts of a worker is valid; see WorkerClaim.
std::string claim(std::uint32_t worker);
/// The worker's report, JSON.
std::string result(std::uint32_t worker);
/// Written by a worker that was stopped and ends, if the platform does not end it.
std::string acknowledged_stop(std::uint32_t worker);
/// Why a worker failed, JSON; if the platform does not report how an event ended.
std::string failure(std::uint32_t worker);
/// The statistics of a worker's earlier invocations, for the next one; JSON.
std::string worker_stats(std::uint32_t worker);
/// The metrics of an epoch, JSON, written by worker 0 as the epoch ends.
std::string metrics(std::uint64_t epoch);
/// The position of worker 0 within an epoch, JSON; written at most once a second.
inline constexpr const char* kProgress = "progress";
/// The newest lines of a worker's log: not in the channel but beside the job's checkpoints, if the
/// platform keeps no logs.
std::string log(const std::string& job_id, std::uint32_t worker);
}  // namespace keys

}  // namespace lambdaml::control
