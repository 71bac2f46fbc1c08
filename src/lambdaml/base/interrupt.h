#pragma once

#include <atomic>
#include <cstdint>

#include "lambdaml/base/deadline.h"

/// How a process reacts when its user interrupts it (SIGINT, SIGTERM, SIGHUP).
///
/// The first interrupt ends every wait: each call of wait.h that is waiting for a service or a peer
/// throws Error(cancelled) at once. Cleanup then runs within a Tidying, whose waits last until 2 s
/// after the interrupt and fail as `cancelled` after that. The second interrupt ends the process as
/// if the signals were not caught.
namespace lambdaml {

/// How long cleanup may take after an interrupt, in all.
inline constexpr double kTidying_s = 2;

/// From now on, the first interrupt is recorded instead of ending the process; any earlier one is
/// forgotten. Signals that are ignored, as those of nohup(1), stay ignored. For commands; without
/// this call the first interrupt ends the process.
void catch_interrupts();

/// Whether an interrupt came since catch_interrupts(), or the work of this thread was cancelled.
/// Thread-safe.
bool interrupted() noexcept;

/// An interrupt of one piece of work instead of the whole process: for programs that run several
/// jobs at once and handle signals themselves. It affects the threads that work for it (Scope) as
/// an interrupt of the process affects all threads.
class Cancellation {
 public:
  /// Throws resource_exhausted if no descriptor is left.
  Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;
  ~Cancellation();

  /// Only the first call counts. Thread-safe.
  void cancel() noexcept;
  bool cancelled() const noexcept { return at_ns_.load(std::memory_order_relaxed) != 0; }

  /// The one that this thread works for, or null.
  static Cancellation* current() noexcept;
  /// While an instance lives, its thread works for the cancellation (null: for none), which must
  /// outlive it. Helper threads of parallel_for() inherit it from their caller.
  class Scope {
   public:
    explicit Scope(Cancellation* cancellation) noexcept;
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    Cancellation* before_;
  };

 private:
  friend Deadline interrupt_deadline() noexcept;
  friend int interrupt_fd() noexcept;
  std::atomic<std::int64_t> at_ns_{0};  ///< of the steady clock; 0: not cancelled
  int event_;
};

/// When an interrupt ends the waits of this thread: never() before one, a time in the past after
/// one, or kTidying_s after it within a Tidying. Takes about 2 ns before an interrupt.
Deadline interrupt_deadline() noexcept;

/// Throws Error(cancelled) when interrupt_deadline() has passed.
void throw_if_interrupted();

/// A descriptor that becomes readable at the first interrupt, for callers that also poll other
/// descriptors. The caller must not read it. Returns -1, which poll() ignores, where an interrupt
/// ends no wait: in a process that does not catch interrupts, and within a Tidying after one. In a
/// thread that works for a Cancellation it is that one's.
int interrupt_fd() noexcept;

/// While an instance lives, waits of its thread may continue for kTidying_s after an interrupt, in
/// all: for cleanup. Helper threads of parallel_for() inherit it from their caller.
class Tidying {
 public:
  explicit Tidying(bool on = true) noexcept;
  Tidying(const Tidying&) = delete;
  Tidying& operator=(const Tidying&) = delete;
  ~Tidying();
  /// Whether this thread is within a Tidying.
  static bool is_active() noexcept;

 private:
  bool on_;
};

}  // namespace lambdaml
