#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// Mutual exclusion for a task that several invocations may have been given by a service that
/// delivers events at least once. One invocation holds the lease at a time; the others wait until
/// the task is done, or until the holder has ended, and then one of them repeats the task.
///
/// A WorkerClaim is for workers, which may do the same work concurrently without harm, so that the
/// newest is valid; a lease is for tasks that must not run twice at a time.
///
/// It is stored under `key`/0, `key`/1, …: each holder creates the next one, which only one can.
/// Taking it costs two requests (on S3 five, because there it is checked whether the server can
/// create keys atomically), a poll while waiting one or two, at most once a second, and a
/// renewal two. Used by one thread.
class Lease {
 public:
  /// Held until `expires` at the latest, when the holder is presumed dead. After the first renewal,
  /// the holder is presumed dead after `silence_s` without another one.
  Lease(std::shared_ptr<storage::Storage> store, std::string key, Deadline expires,
        double silence_s = 60);
  /// Releases the lease, so that another process can take it, unless finish() was called.
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  enum class Taken { yes, finished, no };
  /// Waits for the lease until `patience` has passed. finished: the task has been done.
  Taken take(Deadline patience);
  /// Signals that the holder is still running. Sends nothing within a quarter of `silence_s` after
  /// the last renewal. Throws Superseded if the holder was presumed dead meanwhile; if the store
  /// does not answer, tries again at a later call.
  void renew();
  /// Marks the task as done for good. Does nothing if the lease is not held. If the store does not
  /// answer, that is logged, and a later delivery may repeat the task.
  void finish() noexcept;

  /// Whether the lease of this key was ever taken. One request.
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
