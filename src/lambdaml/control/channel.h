#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/storage.h"

/// Where a job's workers meet, and the names of what lies there apart from rounds and data.
namespace lambdaml::control {

/// The job's own part of a channel: retried, metered (when `meter` is given), free of size limits,
/// and below `JOB-ID/`, so that two jobs in one store never see each other's keys.
std::shared_ptr<storage::Storage> open_channel(const std::string& uri, const std::string& job_id,
                                               std::shared_ptr<storage::Meter> meter = nullptr);

/// A channel whose calls throw cancelled once the invocation is to stop; `channel` itself on
/// platforms that end functions from outside.
std::shared_ptr<storage::Storage> stoppable(std::shared_ptr<storage::Storage> channel,
                                            const faas::Invocation& invocation);

/// The channel as a worker's rounds use it, in a job and in `bench comm`: stoppable, and calling
/// `check` (whether the worker's claim still counts) before what it asks and while it waits. A
/// check while a wait goes on may poll the channel: it comes after 1 s, and later every 2 s, or
/// every 8 s where polling is expensive.
std::shared_ptr<storage::Storage> channel_of_rounds(std::shared_ptr<storage::Storage> channel,
                                                    const faas::Invocation& invocation,
                                                    std::function<void()> check);

namespace keys {
inline constexpr const char* kData = "data/";  ///< prefix of the staged training set
inline constexpr const char* kTest = "test/";  ///< prefix of the staged test set
/// The file that the model is made of, where it is made of one.
inline constexpr const char* kDefinition = "definition";
inline constexpr const char* kModel = "result/model";
/// Exists from before the first worker is started until the job has ended and its keys are cleared.
inline constexpr const char* kJob = "job";
/// What kJob says once the channel has lost what the trigger had put there: the workers that are at
/// work give each other again what they need, but none can begin.
inline constexpr std::string_view kLost = "lost";
/// Exists once the job is to stop: its trigger and workers that begin see it.
inline constexpr const char* kStop = "stop";
/// Exists from a worker's first attempt on: a later attempt knows that it is one.
std::string started(std::uint32_t worker);
/// Which attempt of a worker counts, while several may run; see WorkerClaim.
std::string claim(std::uint32_t worker);
/// The worker's report, JSON.
std::string result(std::uint32_t worker);
/// The worker has seen that it was stopped, and ends; where the platform does not end it.
std::string acknowledged_stop(std::uint32_t worker);
/// Why a worker gave up, JSON; where the platform does not say how an event ended.
std::string failure(std::uint32_t worker);
/// What a worker's invocations took before the one that goes on, JSON.
std::string worker_stats(std::uint32_t worker);
/// The metrics of an epoch, JSON, written by worker 0 as the epoch ends.
std::string metrics(std::uint64_t epoch);
/// Where worker 0 stands within an epoch, JSON, at most once a second.
inline constexpr const char* kProgress = "progress";
/// The newest lines of a worker's log: not in the channel but beside the job's checkpoints, where
/// the platform keeps none itself.
std::string log(const std::string& job_id, std::uint32_t worker);
}  // namespace keys

}  // namespace lambdaml::control
