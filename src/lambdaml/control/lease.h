#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The right to do a task that several invocations may have been given, as a service that delivers
/// events at least once may make them. One has it at a time; the others wait until it is done, or
/// until the holder is gone, and then one of them does it again.
///
/// Where WorkerClaim is for workers, who do the same work side by side without harm and of whom the
/// newest counts, this is for who must not be two.
///
/// Under `key`/0, `key`/1, …: each holder creates the next one, so of several only one can. Taking
/// is two requests; each look of who waits one or two, at most one a second; a renewal two.
class Lease {
 public:
  /// Held until `expires` if nothing is heard of the holder before that: then he is taken for dead.
  /// Once he has said that he lives, he is when he is silent for `silence_s`.
  Lease(std::shared_ptr<storage::Storage> store, std::string key, Deadline expires,
        double silence_s = 60);
  /// Gives the lease back, for another to take, unless finish() was called.
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  enum class Taken { yes, finished, no };
  /// Waits for the lease until `patience` is over. finished: the task has been done.
  Taken take(Deadline patience);
  /// The holder lives. Sends nothing within a quarter of the silence since the last time. Throws
  /// Superseded when he was taken for dead in the meantime; a store that does not answer is asked
  /// again later.
  void renew();
  /// The task is done, and shall never be done again. Nothing when the lease is not held. When the
  /// store does not answer that is logged, and a later delivery may do the task again.
  void finish() noexcept;

  /// Whether anybody has ever taken the lease of this key. One request.
  static bool was_taken(storage::Storage& store, const std::string& key);

 private:
  std::string slot() const { return key_ + "/" + std::to_string(number_); }
  void write(std::int64_t until_ms, bool finished);

  std::shared_ptr<storage::Storage> store_;
  std::string key_;
  Deadline expires_;
  double silence_s_;
  const std::string holder_ = unique_id();
  std::uint64_t number_ = 0;
  bool held_ = false;
  Stopwatch since_renewal_;
};

}  // namespace lambdaml::control
