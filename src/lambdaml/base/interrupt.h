#pragma once

#include "lambdaml/base/deadline.h"

/// What a process does when its user interrupts it (SIGINT, SIGTERM, SIGHUP).
///
/// The first interrupt ends every wait: whatever waits through wait.h, for a service or for a peer,
/// throws Error(cancelled) at once. What the process then tidies up runs within a Tidying, whose
/// waits go on until 2 s after the interrupt and fail as `cancelled` then. The second interrupt
/// ends the process as if nobody had caught it.
namespace lambdaml {

/// How long a process tidies up after an interrupt, in all.
inline constexpr double kTidying_s = 2;

/// From now on, the first interrupt is noted instead of ending the process; an earlier one is
/// forgotten. For commands; a process that never calls this is ended by the first interrupt.
void catch_interrupts();

/// Whether an interrupt came since catch_interrupts(). Any thread.
bool interrupted() noexcept;

/// When the waits of this thread end because of an interrupt: never() before one, the past after
/// it, and kTidying_s after it within a Tidying. About 2 ns while there is none.
Deadline interrupt_deadline() noexcept;

/// Throws Error(cancelled) when interrupt_deadline() has passed.
void throw_if_interrupted();

/// A descriptor that is readable from the first interrupt on, for those who poll others too; the
/// caller never reads it. -1, which poll() ignores, where an interrupt ends nothing: in a process
/// that catches none, and within a Tidying once there was one.
int interrupt_fd() noexcept;

/// While one lives, the waits of its thread outlast an interrupt by kTidying_s in all: for what
/// must be tidied up. Helpers of parallel_for() take it over from their caller.
class Tidying {
 public:
  explicit Tidying(bool on = true) noexcept;
  Tidying(const Tidying&) = delete;
  Tidying& operator=(const Tidying&) = delete;
  ~Tidying();
  /// Whether this thread is within one.
  static bool is_active() noexcept;

 private:
  bool on_;
};

}  // namespace lambdaml
