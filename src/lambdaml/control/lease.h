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
/// events at least once may start them. One invocation holds it at a time; the others wait until
/// the task is done, or until the holder has ended, and then one of them does the task again.
///
/// A WorkerClaim is for workers, which do the same work side by side without harm, so the newest
/// counts; a lease is for tasks that must not run twice at a time.
///
/// It lies under `key`/0, `key`/1, …: each holder creates the next one, so only one of several can.
/// Taking it costs two requests, a poll of one that waits one or two, at most once a second, and a
/// renewal two. For one thread.
class Lease {
 public:
  /// Held until `expires` at the latest: then the holder is taken for dead. Once it has renewed the
  /// lease, it is taken for dead after `silence_s` without another renewal.
  Lease(std::shared_ptr<storage::Storage> store, std::string key, Deadline expires,
        double silence_s = 60);
  /// Gives the lease back, for another to take, unless finish() was called.
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  enum class Taken { yes, finished, no };
  /// Waits for the lease until `patience` is over. finished: the task has been done.
  Taken take(Deadline patience);
  /// Says that the holder still runs. Sends nothing within a quarter of `silence_s` since the last
  /// time. Throws Superseded if it was taken for dead meanwhile; a store that does not answer is
  /// asked again later.
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
