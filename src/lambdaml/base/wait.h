#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/interrupt.h"

/// All waits of this project. Each ends at its deadline and throws Error(cancelled) if the process
/// is interrupted (see interrupt.h). Nothing else in the project sleeps.
namespace lambdaml {

/// Sleeps until the deadline. An interrupt ends the sleep at once.
void sleep_until(Deadline deadline);
inline void pause_for(double seconds) { sleep_until(Deadline::in(seconds)); }

/// Returns when the process is interrupted; see catch_interrupts().
void wait_for_interrupt();

/// Waits until `fd` is ready for `events` (POLLIN, POLLOUT); an error on it counts as ready.
/// Returns false at the deadline. If the deadline has passed, polls once. An interrupt ends the
/// wait at once.
bool wait_until_ready(int fd, short events, Deadline deadline);

/// Waits until `ready()` holds, like condition_variable::wait_until, and returns its last result.
/// An interrupt ends the wait within a tenth of a second.
template <class Ready>
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                Deadline deadline, Ready ready) {
  constexpr double kSlice_s = 0.1;
  while (!ready()) {
    throw_if_interrupted();
    const double left_s = deadline.earlier(interrupt_deadline()).seconds_left();
    if (left_s <= 0 && deadline.passed()) return false;
    changed.wait_for(lock, std::chrono::duration<double>(std::min(left_s, kSlice_s)));
  }
  return true;
}

}  // namespace lambdaml
