#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

/// The status of the events of one call: written by the threads that run them, read by those that
/// wait for them. Thread-safe.
class EventBoard {
 public:
  EventBoard(std::size_t events, FailureObserver observer);

  // See Invocations.
  bool wait(double seconds) const;
  std::vector<EventStatus> all() const;

  EventStatus at(std::size_t event) const;
  /// Succeeded and failed are final: later calls change nothing.
  void set(std::size_t event, EventStatus status);
  /// Reports a failed attempt to the observer, one event at a time; logs what the observer throws.
  void report(std::size_t event, const EventStatus& status, bool will_retry) noexcept;

  void cancel();
  bool is_cancelled() const;
  /// Sleeps; returns false if cancel() is called meanwhile.
  bool pause(double seconds) const;
  /// Ends the event as cancelled unless it has ended; `kind` is the platform's word for an event.
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
