#pragma once

#include <algorithm>

#include "lambdaml/base/deadline.h"

namespace lambdaml::worker {

/// How much of a function's time remains, and how much of it a worker reserves for saving its
/// state: 3 × the longest save so far + 0.1 s of slack and, before a step begins, 2 × the longest
/// step so far without waits. Used by one thread.
class TimeBudget {
 public:
  /// `state_bytes`: the size of a save, which is assumed to run at 20 MB/s until one was measured.
  TimeBudget(Deadline end, std::size_t state_bytes)
      : end_(end), longest_save_s_(0.02 + static_cast<double>(state_bytes) / 20e6) {}

  void saw_step(double seconds) { longest_step_s_ = std::max(longest_step_s_, seconds); }
  void saw_save(double seconds) { longest_save_s_ = std::max(longest_save_s_, seconds); }

  /// Whether there is no time for another step.
  bool is_over() const { return end_.seconds_left() < reserve_s() + 2 * longest_step_s_; }
  /// Whether a wait of `seconds` from now could use up reserved time.
  bool may_end_within(double seconds) const {
    return end_.seconds_left() < reserve_s() + 2 * longest_step_s_ + seconds;
  }
  /// When waits for others must end, so that the state can still be saved.
  Deadline end_of_waits() const {
    if (end_.is_never()) return end_;
    return Deadline::in(std::max(0.0, end_.seconds_left() - reserve_s()));
  }

 private:
  double reserve_s() const { return 0.1 + 3 * longest_save_s_; }

  Deadline end_;
  double longest_step_s_ = 0;
  double longest_save_s_;
};

}  // namespace lambdaml::worker
