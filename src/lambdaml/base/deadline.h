#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "lambdaml/base/clock.h"

namespace lambdaml {

/// A point in time by which something must be done; one deadline is handed down through all the
/// calls that share it. Cheap to copy, immutable, never affected by a change of the wall clock.
class Deadline {
 public:
  static Deadline never() { return Deadline(TimePoint::max()); }
  static Deadline in(double seconds) { return at(time_now()).later_by(seconds); }
  static Deadline at(TimePoint time) { return Deadline(time); }
  /// Milliseconds since 1970, as the Lambda Runtime API gives them.
  static Deadline at_epoch_ms(std::int64_t milliseconds) {
    using namespace std::chrono;
    const auto now = duration_cast<std::chrono::milliseconds>(wall_now().time_since_epoch());
    return in(static_cast<double>(milliseconds - now.count()) / 1e3);
  }

  bool is_never() const { return at_ == TimePoint::max(); }
  bool passed() const { return !is_never() && time_now() >= at_; }
  /// Seconds left, not below 0; 1e9 for never().
  double seconds_left() const {
    if (is_never()) return 1e9;
    return std::max(0.0, std::chrono::duration<double>(at_ - time_now()).count());
  }
  TimePoint time() const { return at_; }
  Deadline later_by(double seconds) const {
    if (is_never() || seconds > 1e9) return never();
    return Deadline(at_ + std::chrono::duration_cast<TimePoint::duration>(
                              std::chrono::duration<double>(seconds)));
  }
  Deadline earlier(Deadline other) const { return Deadline(std::min(at_, other.at_)); }

 private:
  explicit Deadline(TimePoint at) : at_(at) {}
  TimePoint at_;
};

/// Milliseconds since 1970 by this machine's clock, for time stamps that other machines read.
inline std::int64_t epoch_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(wall_now().time_since_epoch()).count();
}

/// Seconds since construction.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(time_now() - start_).count(); }

 private:
  TimePoint start_ = time_now();
};

}  // namespace lambdaml
