#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "lambdaml/faas/event_board.h"
#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

/// What Function::query_status says of these events, in their order; nullopt if it could not be
/// asked now, so ask again later: a failure worth a retry. Another one fails the events, as the
/// contract of query_status has it. Without a query nothing is said. Throws only cancelled.
std::optional<std::vector<std::optional<EventStatus>>> told_by_storage(
    const Function& function, std::span<const std::size_t> events);

/// Invocations on a platform elsewhere: their events are on a board, which one thread of this
/// process, the watcher, keeps up to date.
class WatchedInvocations : public Invocations {
 public:
  bool wait(double seconds) override { return board_.wait(seconds); }
  std::vector<EventStatus> status() const override { return board_.all(); }
  /// Cancels the board and waits for the watcher to end.
  void cancel() override { end_watching(); }

 protected:
  WatchedInvocations(std::size_t events, FailureObserver observer)
      : board_(events, std::move(observer)) {}

  /// Call at most once, at the end of the constructor. `watch` must return soon after the board is
  /// cancelled. A derived class calls cancel() in its destructor, because `watch` uses its members.
  void start_watching(std::function<void()> watch) { watcher_ = std::thread(std::move(watch)); }
  /// Returns whether this was the call that ended the watcher.
  bool end_watching() {
    board_.cancel();
    const std::lock_guard joining(joining_);
    if (!watcher_.joinable()) return false;
    watcher_.join();
    return true;
  }

  EventBoard board_;

 private:
  std::mutex joining_;  ///< guards watcher_
  std::thread watcher_;
};

}  // namespace lambdaml::faas
