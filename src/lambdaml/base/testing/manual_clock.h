#pragma once

#include <atomic>
#include <chrono>

#include "lambdaml/base/clock.h"

namespace lambdaml {

/// A clock that stands still until a thread sleeps, which advances it at once: for tests of what
/// happens over minutes. Its time is only meaningful if a single thread sleeps.
class ManualClock final : public Clock {
 public:
  TimePoint now() override { return TimePoint(TimePoint::duration(now_.load())); }
  WallTime wall() override {
    return kBegin + std::chrono::duration_cast<WallTime::duration>(now().time_since_epoch());
  }
  void sleep_until(TimePoint end) override {
    TimePoint::rep before = now_.load();
    const TimePoint::rep to = end.time_since_epoch().count();
    while (before < to && !now_.compare_exchange_weak(before, to)) {
    }
  }
  void advance(double seconds) {
    now_ += std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds))
                .count();
  }
  /// Seconds since construction.
  double seconds() { return std::chrono::duration<double>(now().time_since_epoch()).count() - 1; }

 private:
  static constexpr WallTime kBegin{std::chrono::hours(24 * 365 * 50)};
  std::atomic<TimePoint::rep> now_{std::chrono::nanoseconds(std::chrono::seconds(1)).count()};
};

}  // namespace lambdaml
