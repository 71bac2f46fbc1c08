#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// Which of the tries of a worker counts when several are alive, as a service that delivers events
/// at least once may make them: the newest. Their messages are the same, byte for byte, but an
/// older try must not put an older checkpoint over a newer one, nor report a failure of its own,
/// nor hand the work on. Who ends a job takes the claims of all its workers, so each of them need
/// look at no other key to know whether it is still wanted.
///
/// A claim is one PUT; each look is one GET. Between a look and what follows it there is a gap of
/// one request's time, in which a newer try can only have begun to load its data.
class WorkerClaim {
 public:
  /// What the trigger claims for all workers as the job ends before its time.
  static constexpr std::string_view kStop = "stop";
  /// What it claims as it goes on with a job, until the new workers do.
  static constexpr std::string_view kNewTrigger = "trigger";

  /// Of a worker: where a channel loses nothing, a claim that is gone was cleared at the job's end.
  WorkerClaim(std::shared_ptr<storage::Storage> channel, std::uint32_t worker);
  /// Of something else than a worker: under `key`, `what` for messages.
  WorkerClaim(std::shared_ptr<storage::Storage> store, std::string key, std::string what);

  /// From now on this try counts.
  void claim();
  /// Throws Superseded when another try has claimed since, Stopped when the job was stopped, and
  /// JobIsOver when its channel was cleared. A claim that the store lost does not count against
  /// this one.
  void require();
  /// The same, once a second at the most, and not before claim(). For one thread.
  void require_now_and_then();
  /// Whether another try has claimed since; false as well when nothing was claimed or the store
  /// does not answer.
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
