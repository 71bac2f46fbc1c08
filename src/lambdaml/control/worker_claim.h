#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// A fencing token: of the attempts of a worker that run at the same time, as a service that
/// delivers events at least once may start them, the newest counts. Their messages are the same,
/// byte for byte, but an older attempt must not put an older checkpoint over a newer one, report a
/// failure of its own, or hand the work on. A process that ends a job takes the claims of all its
/// workers, so a worker learns from this one key whether it is still wanted.
///
/// Claiming is one PUT, each check one GET. Another's token counts when it was read twice: a worker
/// that left for an answer that was damaged on its way would be waited for by all others. Between a
/// check and what follows it there is a gap of one request's time, in which a newer attempt can
/// only have begun to load its data.
///
/// For one thread. Errors besides those below are the store's; after one, the claim is as before.
class WorkerClaim {
 public:
  /// What the trigger claims for all workers as the job ends before its time.
  static constexpr std::string_view kStop = "stop";
  /// What it claims as it goes on with a job, until the new workers do.
  static constexpr std::string_view kNewTrigger = "trigger";

  /// A worker's claim. On a durable channel a missing claim means that the job has ended.
  WorkerClaim(std::shared_ptr<storage::Storage> channel, std::uint32_t worker);
  /// The claim of another kind of task, under `key`; `what` names it in messages. A missing claim
  /// means nothing.
  WorkerClaim(std::shared_ptr<storage::Storage> store, std::string key, std::string what);

  /// From now on this attempt counts.
  void claim();
  /// Throws Superseded if another attempt has claimed since, Stopped if the job was stopped, and
  /// JobIsOver if its channel was cleared. A claim that the store has lost does not count against
  /// this attempt.
  void require();
  /// The same, at most once a second, and not before claim().
  void require_now_and_then();
  /// Whether another attempt has claimed since; also false if nothing was claimed or the store does
  /// not answer.
  bool is_superseded() noexcept;
  /// What the claim says; empty before there is one.
  const std::string& token() const { return token_; }

 private:
  std::shared_ptr<storage::Storage> store_;
  std::string key_;
  std::string what_;
  bool is_kept_ = false;  ///< the claim cannot get lost while the task is
  std::string token_;     ///< empty before claim()
  Stopwatch since_look_;
};

}  // namespace lambdaml::control
