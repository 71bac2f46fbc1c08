#pragma once

#include <atomic>
#include <chrono>

/// The time of this program. All deadlines, waits, pauses and time stamps use it
/// (cmake/check_layers.cmake enforces that), so that a test or a simulation can replace it.
namespace lambdaml {

/// A point on a monotonic clock, which changes of the date do not affect.
using TimePoint = std::chrono::steady_clock::time_point;
/// A date according to this machine.
using WallTime = std::chrono::system_clock::time_point;

/// A clock in place of the machine's. Implementations must be thread-safe.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  /// Never less than what it returned before.
  virtual TimePoint now() = 0;
  virtual WallTime wall() = 0;
  /// Returns once now() is at least `end`. Exceptions propagate to the sleeping caller.
  virtual void sleep_until(TimePoint end) = 0;
};

namespace detail {
inline std::atomic<Clock*> g_clock{nullptr};
}

/// The clock that replaces the machine's, or null.
inline Clock* replaced_clock() { return detail::g_clock.load(std::memory_order_acquire); }

inline TimePoint time_now() {
  Clock* const clock = replaced_clock();
  return clock == nullptr ? std::chrono::steady_clock::now() : clock->now();
}

inline WallTime wall_now() {
  Clock* const clock = replaced_clock();
  return clock == nullptr ? std::chrono::system_clock::now() : clock->wall();
}

/// While an instance lives, every thread of the process uses `clock`. Only one may exist at a time,
/// and no other thread may be waiting when it is made or destroyed. Waits for something other than
/// time (a descriptor, another thread) still block in real time, but their deadlines are those of
/// this clock.
class ClockReplacement {
 public:
  explicit ClockReplacement(Clock& clock) {
    detail::g_clock.store(&clock, std::memory_order_release);
  }
  ClockReplacement(const ClockReplacement&) = delete;
  ClockReplacement& operator=(const ClockReplacement&) = delete;
  ~ClockReplacement() { detail::g_clock.store(nullptr, std::memory_order_release); }
};

}  // namespace lambdaml
