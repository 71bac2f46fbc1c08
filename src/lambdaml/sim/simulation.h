#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/fibers/scheduler.h"
#include "lambdaml/base/rng.h"

namespace lambdaml::sim {

/// What a killed process's fibers are ended by, at their next call of a store, wait or pause. It is
/// no std::exception, so that no handler takes it for an error of the job; one that catches
/// everything meets it again at the next call.
struct Killed {};

/// Fibers that are killed together: a worker's attempt, the trigger. A handle; cheap to copy.
class Process;
using ProcessHandle = std::shared_ptr<Process>;

/// Virtual time and a deterministic schedule.
///
/// Processes are fibers of the thread that calls run(): one runs at a time, and each pause, wait
/// and call of a simulated store hands control to the scheduler, which resumes the fiber that is
/// due next; fibers that are due at the same time run in an order drawn from the seed. While run()
/// lasts, the clock of the program (base/clock.h) is that of the simulation, which costs no time to
/// wait for. So the same seed gives the same schedule, bit by bit: fingerprint() shows it.
///
/// A switch between two fibers takes about 100 ns. Used by one thread; only one simulation of a
/// program runs at a time (run() waits for another), and no other thread may wait meanwhile.
class Simulation final : private Scheduler, private Clock {
 public:
  static constexpr double kForever = std::numeric_limits<double>::infinity();

  explicit Simulation(std::uint64_t seed);
  /// Kills what still runs, and lets its destructors run.
  ~Simulation() override;

  /// The one whose fiber calls, or whose run() calls; null otherwise.
  static Simulation* current() noexcept;

  // ---- from within and from outside ----

  /// Runs `body` as a process that begins `delay_s` from now. `on_end` is called when its last
  /// fiber has ended, in none; it must not throw or wait.
  ProcessHandle start(std::string name, std::function<void()> body, double delay_s = 0,
                      std::function<void(Process&)> on_end = {});
  /// Ends the process as SIGKILL would: nothing that it does from now on has an effect on others.
  /// Its fibers end, when they are due, by Killed. If it is the caller's own, throws Killed.
  void kill(const ProcessHandle& process);
  /// The process does nothing for so many seconds (or kForever: until it is killed).
  void freeze(const ProcessHandle& process, double seconds);
  /// Kills all that runs, and lets its destructors run. Not from within a fiber.
  void end_all() noexcept;
  /// Adds to the wall clock that the process sees.
  void jump_clock(const ProcessHandle& process, double seconds);
  /// Calls `body`, in no fiber, in so many seconds. It must not throw or wait.
  void call_later(double delay_s, std::function<void()> body);

  /// Runs what is due until `seconds` from now, or until nothing is left that could run. Returns
  /// whether all processes have ended. kForever: throws internal if processes wait for each other
  /// for ever, naming them. Throws cancelled at an interrupt of the program.
  bool run(double seconds = kForever);

  /// Virtual seconds since the beginning.
  double now_s() const { return static_cast<double>(now_ns_) * 1e-9; }
  Rng& rng() { return rng_; }
  /// A checksum of the schedule so far: which fiber ran when.
  std::uint64_t fingerprint() const { return fingerprint_; }
  std::uint64_t switches() const { return switches_; }
  /// Whether this thread is within one of its fibers.
  bool in_fiber() const { return running_ != nullptr; }
  /// Whether some process has not ended.
  bool is_busy() const { return alive_ > 0; }

  // ---- from within a fiber ----

  /// The caller's process.
  const ProcessHandle& process() const;
  void pause(double seconds);
  /// Waits for notify_all(what) or the deadline; may return early. Throws Killed.
  void wait_for(const void* what, TimePoint deadline);
  void notify_all(const void* what) noexcept { notify(what); }
  /// Throws Killed if the caller's process was killed, unless an exception is being handled by
  /// destructors: then what they do must have no effect.
  /// Returns whether the process is alive.
  bool require_alive();

  /// What computed rows cost: called in the fiber, and may pause.
  std::function<void(double rows)> on_computed;

 private:
  struct Fiber;
  struct Event {
    std::int64_t at_ns;
    std::uint64_t order;
    std::uint64_t serial;
    std::uint32_t slot;
    std::uint64_t generation;
    bool operator>(const Event& other) const {
      return std::tie(at_ns, order, serial) > std::tie(other.at_ns, other.order, other.serial);
    }
  };

  // Scheduler
  void start(std::function<void()> work) override;
  void wait_for(const void* what, bool is_certain) override;
  void notify(const void* what) noexcept override;
  std::uint64_t random_number() override { return rng_.next(); }
  void computed(double rows) override;
  // Clock
  TimePoint now() override;
  WallTime wall() override;
  void sleep_until(TimePoint end) override;

  void add_fiber(const ProcessHandle& process, std::function<void()> body, std::int64_t at_ns);
  void schedule(std::uint32_t slot, std::int64_t at_ns);
  void forget_wait(Fiber& fiber);
  /// Hands control to the scheduler until the fiber is due.
  void switch_away();
  void resume(Fiber& fiber);
  void end(Fiber& fiber);
  [[noreturn]] void fail_stuck() const;

  Rng rng_;
  std::int64_t now_ns_ = 0;
  std::uint64_t serial_ = 0, switches_ = 0, fingerprint_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<std::unique_ptr<Fiber>> slots_;
  std::vector<std::uint64_t> generations_;  ///< by slot: events of earlier ones are void
  std::vector<std::uint32_t> free_;
  std::unordered_map<const void*, std::vector<std::uint32_t>> waiting_;
  std::unordered_map<std::uint64_t, std::function<void()>> calls_;
  Fiber* running_ = nullptr;
  std::size_t alive_ = 0;  ///< processes
};

class Process {
 public:
  explicit Process(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  bool was_killed() const { return killed_; }
  /// What a layer above keeps for the process, e.g. its network.
  std::any annotation;

 private:
  friend class Simulation;
  std::string name_;
  bool killed_ = false;
  int escapes_ = 0;  ///< Killed that were thrown
  std::size_t fibers_ = 0;
  std::int64_t frozen_until_ns_ = 0;
  double clock_offset_s_ = 0;
  std::function<void(Process&)> on_end_;
};

}  // namespace lambdaml::sim
