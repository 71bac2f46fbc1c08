#include "lambdaml/faas/event_board.h"

#include <algorithm>
#include <chrono>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/failure.h"

namespace lambdaml::faas {
namespace {

using State = EventStatus::State;

std::chrono::duration<double> bounded(double seconds) {
  return std::chrono::duration<double>(std::clamp(seconds, 0.0, 1e9));
}

bool has_ended(const EventStatus& status) {
  return status.state == State::succeeded || status.state == State::failed;
}

}  // namespace

EventBoard::EventBoard(std::size_t events, FailureObserver observer)
    : observer_(std::move(observer)), status_(events) {}

bool EventBoard::wait(double seconds) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, bounded(seconds), [&] { return is_over(); });
}

std::vector<EventStatus> EventBoard::all() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

EventStatus EventBoard::at(std::size_t event) const {
  const std::lock_guard lock(mutex_);
  return status_[event];
}

void EventBoard::set(std::size_t event, EventStatus status) {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended(status_[event])) return;
    if (has_ended(status)) ++ended_;
    if (status.state == State::failed) ++failed_;
    status_[event] = std::move(status);
  }
  changed_.notify_all();
}

void EventBoard::report(std::size_t event, const EventStatus& status, bool will_retry) noexcept {
  if (!observer_) return;
  const std::lock_guard one_at_a_time(observing_);
  try {
    observer_(event, status, will_retry);
  } catch (...) {
    log::warning("the observer of failures failed: {}", current_failure().message);
  }
}

void EventBoard::cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  changed_.notify_all();
}

bool EventBoard::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

bool EventBoard::pause(double seconds) const {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, bounded(seconds), [&] { return cancelled_; });
}

void EventBoard::end_as_cancelled(std::size_t event, const std::string& kind) {
  EventStatus status = at(event);
  status.state = State::failed;
  status.process_id = 0;
  status.error_type = to_string(Code::cancelled);
  status.error_message = fmt::format("{} {}: cancelled", kind, event);
  set(event, std::move(status));
}

}  // namespace lambdaml::faas
