#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// A fencing token: of several concurrent attempts of a worker, as a service that delivers events
/// at least once may start them, the newest is valid. Their messages are the same, byte for byte,
/// but an older attempt must not overwrite a newer checkpoint with an older one, report a failure
/// of its own, or hand the work on. A process that ends a job takes the claims of all its workers,
/// so this one key tells a worker whether it is still wanted.
///
/// Claiming is one PUT, each check one GET. Another's token counts once it was read twice: all
/// others would wait for a worker that leaves because of an answer that was damaged in transit.
/// Between a check and the action after it there is a gap of about one request's time, in which a
/// newer attempt can at most have begun to load its data.
///
/// Used by one thread. Also throws the store's errors; after one, the claim is unchanged.
class WorkerClaim {
 public:
  /// The trigger's claim for all workers when it stops the job.
  static constexpr std::string_view kStop = "stop";
  /// The trigger's claim for all workers when it resumes a job, until the new workers claim.
  static constexpr std::string_view kNewTrigger = "trigger";

  /// A worker's claim. On a durable channel a missing claim means that the job has ended.
  WorkerClaim(std::shared_ptr<storage::Storage> channel, std::uint32_t worker);
  /// The claim of another kind of task, under `key`; `what` names it in messages. A missing claim
  /// has no meaning.
  WorkerClaim(std::shared_ptr<storage::Storage> store, std::string key, std::string what);

  /// Makes this the valid attempt.
  void claim();
  /// Throws Superseded if another attempt has claimed since, Stopped if the job was stopped, and
  /// JobIsOver if its channel was cleared. A claim that the store has lost does not invalidate this
  /// attempt.
  void require();
  /// The same, at most once a second, and not before claim().
  void require_now_and_then();
  /// Whether another attempt has claimed since; false also if nothing was claimed or the store does
  /// not answer.
  bool is_superseded() noexcept;
  /// The claim's value; empty before claim().
  const std::string& token() const { return token_; }

 private:
  std::shared_ptr<storage::Storage> store_;
  std::string key_;
  std::string what_;
  bool is_kept_ = false;  ///< the claim cannot be lost before the task
  std::string token_;     ///< empty before claim()
  Stopwatch since_look_;
};

}  // namespace lambdaml::control
