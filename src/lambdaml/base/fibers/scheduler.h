#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>

#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/service/patience.h"

/// How this program's code runs in fibers as well as in threads.
///
/// A simulation (sim/) runs thousands of workers as fibers of one thread: one runs at a time, and a
/// scheduler decides which. Code that waits by base/wait.h and takes the time from base/clock.h
/// needs to know nothing of it. What it would otherwise keep per thread, or do by threads, is here:
/// state per thread or fiber, work beside the caller (background.h) and locks that are held over
/// waits (waiting_mutex.h).
namespace lambdaml {

/// What runs the fibers of a thread. Implementations are used by that thread only.
class Scheduler {
 public:
  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  virtual ~Scheduler() = default;

  /// Runs `work`, which must not throw, in another fiber that ends with the caller's process.
  virtual void start(std::function<void()> work) = 0;
  /// Lets others run until notify(what). May return early, so callers check their condition again.
  /// Throws nothing if `is_certain`, even when the fiber's process is being killed; otherwise
  /// whatever ends the fiber.
  virtual void wait_for(const void* what, bool is_certain) = 0;
  virtual void notify(const void* what) noexcept = 0;
  /// From a seeded generator.
  virtual std::uint64_t random_number() = 0;
  /// The fiber has computed with so many rows.
  virtual void computed(double rows) = 0;
};

/// What a thread, or a fiber in its place, keeps for itself.
struct ThreadState {
  int tidying = 0;                              ///< of interrupt.h
  Cancellation* cancellation = nullptr;         ///< of interrupt.h
  Patience::Call* patience_call = nullptr;      ///< the innermost call, of patience.h
  std::optional<std::minstd_rand> random = {};  ///< of backoff.h; seeded at its first use
  Scheduler* scheduler = nullptr;               ///< null in a thread
};

/// That of the fiber or the thread that calls.
ThreadState& thread_state() noexcept;
/// From now on this thread has that state; null: its own. Returns the one before, null if it was
/// the thread's own. For schedulers, when they change to another fiber.
ThreadState* exchange_thread_state(ThreadState* state) noexcept;

/// The scheduler of the calling fiber; null in a thread.
inline Scheduler* current_scheduler() noexcept { return thread_state().scheduler; }

/// Tells a simulation that this worker is about to compute with so many rows, for which it takes
/// time. Does nothing otherwise.
inline void computes_with_rows(double rows) {
  if (Scheduler* const scheduler = current_scheduler()) scheduler->computed(rows);
}

}  // namespace lambdaml
