#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

/// How the events of one call stand: written by those who run them, read by those who wait for
/// them. Thread-safe.
class EventBoard {
 public:
  EventBoard(std::size_t events, FailureObserver observer);

  // What Invocations promises.
  bool wait(double seconds) const;
  std::vector<EventStatus> all() const;

  EventStatus at(std::size_t event) const;
  /// Succeeded and failed are the event's end, after which nothing changes it.
  void set(std::size_t event, EventStatus status);
  /// Tells the observer, one event at a time, of a try that failed; what it throws is logged.
  void report(std::size_t event, const EventStatus& status, bool will_retry) noexcept;

  void cancel();
  bool is_cancelled() const;
  /// Whether the time went by without a cancel().
  bool pause(double seconds) const;
  /// Unless it has ended, the event ends as cancelled; `kind` is the handler's word for it.
  void end_as_cancelled(std::size_t event, const std::string& kind);

 private:
  bool is_over() const { return failed_ > 0 || ended_ == status_.size(); }

  const FailureObserver observer_;
  std::mutex observing_;
  mutable std::mutex mutex_;  ///< guards what follows
  mutable std::condition_variable changed_;
  std::vector<EventStatus> status_;  ///< its size never changes
  std::size_t ended_ = 0;
  std::size_t failed_ = 0;
  bool cancelled_ = false;
};

}  // namespace lambdaml::faas
