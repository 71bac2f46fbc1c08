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

/// Each key with what it is: writer → readers. docs/explanations/protocol.md says when. W is that
/// worker; status and stop are the commands; (r): in remote jobs only (faas::Plugin::remote).
namespace keys {
/// Prefixes of the training and the test set: trigger → workers.
inline constexpr const char* kData = "data/";
inline constexpr const char* kTest = "test/";
/// The file that defines the model, if it has one: trigger → workers.
inline constexpr const char* kDefinition = "definition";
/// The model file that training starts from, if there is one: trigger → workers.
inline constexpr const char* kInitialModel = "init";
/// The model that workers predict with: trigger → workers.
inline constexpr const char* kPredictor = "model";
/// The trained model: worker 0 → trigger.
inline constexpr const char* kModel = "result/model";
/// Exists from before the first worker is started until the channel is cleared: trigger → trigger,
/// workers, status, stop. Its value is TrainEvent::start; empty for other tasks.
inline constexpr const char* kJob = "job";
/// The value of kJob once the channel has lost what the trigger had put there: running workers
/// restore each other's messages, but none can begin.
inline constexpr std::string_view kLost = "lost";
/// The job must stop: stop, trigger (r) → trigger, workers that begin.
inline constexpr const char* kStop = "stop";
/// An attempt of W has begun: W → later attempts, trigger (r), status.
std::string started(std::uint32_t worker);
/// Which of several concurrent attempts is valid, see WorkerClaim: W, trigger, stop (r) → W.
std::string claim(std::uint32_t worker);
/// The report, JSON: W → later attempts, trigger (r), status.
std::string result(std::uint32_t worker);
/// The quality of W's predictions: W → trigger.
std::string quality(std::uint32_t worker);
/// What workers read together, JSON: trigger → workers.
inline constexpr const char* kPlan = "plan";
/// What W has found in its blocks of the data, JSON: W → worker 0.
std::string findings(std::uint32_t worker);
/// What all of them agree on, JSON: worker 0 → workers, trigger.
inline constexpr const char* kAgreement = "agreement";
/// Why W gave up, JSON: W (r) → trigger.
std::string failure(std::uint32_t worker);
/// W has seen that it must stop: W (r) → trigger.
std::string acknowledged_stop(std::uint32_t worker);
/// Statistics of earlier invocations, JSON: W → its next invocation.
std::string worker_stats(std::uint32_t worker);
/// Metrics at the end of an epoch, JSON: worker 0 → trigger.
std::string metrics(std::uint64_t epoch);
/// The position within an epoch, JSON, at most once a second: worker 0 → trigger, status.
inline constexpr const char* kProgress = "progress";
/// The newest lines of the log, beside the checkpoints rather than in the channel: W (r) → its next
/// invocation, `lambdaml logs`.
std::string log(const std::string& job_id, std::uint32_t worker);
}  // namespace keys

}  // namespace lambdaml::control
