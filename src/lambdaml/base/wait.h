#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/interrupt.h"

/// The waits of this project. Each ends at its deadline, and throws Error(cancelled) when the
/// process is interrupted (see interrupt.h). Nothing else in the project sleeps.
namespace lambdaml {

/// Sleeps. An interrupt ends it at once.
void sleep_until(Deadline deadline);
inline void pause_for(double seconds) { sleep_until(Deadline::in(seconds)); }

/// Returns when the process is interrupted; see catch_interrupts().
void wait_for_interrupt();

/// Waits until `fd` is ready for `events` (POLLIN, POLLOUT), which an error on it is too; false at
/// the deadline. With a deadline that has passed it looks once. An interrupt ends it at once.
bool wait_until_ready(int fd, short events, Deadline deadline);

/// Waits until `ready()` holds, as condition_variable::wait_until does, and returns what it last
/// said. An interrupt ends it within a tenth of a second.
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
