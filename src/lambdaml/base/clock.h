#pragma once

#include <atomic>
#include <chrono>

/// The time of this program. Deadlines, waits, pauses and time stamps take it from here and nowhere
/// else (cmake/check_layers.cmake sees to that), so that a test or a simulation can replace it.
namespace lambdaml {

/// A point on a clock that never goes back and does not follow changes of the date.
using TimePoint = std::chrono::steady_clock::time_point;
/// A date, as this machine knows it.
using WallTime = std::chrono::system_clock::time_point;

/// A clock in place of the machine's. All methods may be called by several threads at once.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  /// Never less than what it returned before.
  virtual TimePoint now() = 0;
  virtual WallTime wall() = 0;
  /// Returns once now() is at least `end`. What it throws goes to the sleeper.
  virtual void sleep_until(TimePoint end) = 0;
};

namespace detail {
inline std::atomic<Clock*> g_clock{nullptr};
}

/// The clock in use; null: the machine's.
inline Clock* replaced_clock() { return detail::g_clock.load(std::memory_order_acquire); }

inline TimePoint time_now() {
  Clock* const clock = replaced_clock();
  return clock == nullptr ? std::chrono::steady_clock::now() : clock->now();
}

inline WallTime wall_now() {
  Clock* const clock = replaced_clock();
  return clock == nullptr ? std::chrono::system_clock::now() : clock->wall();
}

/// While one lives, every thread of the process has the time of `clock`. One at a time; made and
/// destroyed while no other thread waits. What waits for something else than time (a descriptor,
/// another thread) does so in real time, and ends by this clock's deadlines.
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
