#include "lambdaml/sim/simulation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>

#include <boost/context/fiber.hpp>
#include <cxxabi.h>

#include "lambdaml/base/error.h"
#include "lambdaml/sim/guarded_stack.h"
#include "lambdaml/sim/switch_notes.h"

namespace lambdaml::sim {
namespace {

namespace context = boost::context;

/// Virtual memory; only touched pages count. A fiber runs the whole of a worker or trigger.
constexpr std::size_t kStackBytes = kFramesTimes * (512 << 10);
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
/// A fiber that catches everything is ended by the next call; one that never ends is a defect.
constexpr int kMostEscapes = 100'000;
/// The time of day at which all simulations begin: 2026-01-01 00:00:00 UTC.
constexpr WallTime kBegin{std::chrono::seconds(1'767'225'600)};
constexpr TimePoint kSteadyBegin{std::chrono::hours(24)};
/// Calls that run in no fiber have this slot.
constexpr std::uint32_t kNoSlot = std::numeric_limits<std::uint32_t>::max();

thread_local Simulation* g_current = nullptr;
std::mutex g_running;

std::int64_t nanoseconds(double seconds) {
  if (!(seconds < 9e9)) return kNever;
  return static_cast<std::int64_t>(std::llround(std::max(0.0, seconds) * 1e9));
}

std::int64_t later(std::int64_t at_ns, std::int64_t by_ns) {
  return by_ns >= kNever - at_ns ? kNever : at_ns + by_ns;
}

std::int64_t since_begin(TimePoint time) {
  if (time == TimePoint::max()) return kNever;
  return std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::nanoseconds>(time - kSteadyBegin).count());
}

}  // namespace

struct Simulation::Fiber {
  /// What the C++ runtime keeps per thread about exceptions that are being handled: a fiber may
  /// wait within a handler or a destructor, so each has its own.
  struct ExceptionState {
    void* caught = nullptr;
    unsigned int uncaught = 0;

    void exchange() noexcept {
      // The Itanium C++ ABI, 2.2.2: a pointer, then an unsigned int.
      auto* const globals = reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
      std::swap(*globals, *this);
    }
  };

  ProcessHandle process;
  std::function<void()> body;
  std::uint32_t slot = 0;
  const void* waits_for = nullptr;
  bool done = false;
  ThreadState state = {};
  ExceptionState exceptions = {};
  SwitchNotes notes;
  context::fiber self = {};       ///< while it does not run
  context::fiber scheduler = {};  ///< while it runs
};

Simulation::Simulation(std::uint64_t seed) : rng_(mix({seed, 0x51b})) {}

Simulation::~Simulation() { end_all(); }

void Simulation::end_all() noexcept {
  for (const auto& fiber : slots_)
    if (fiber) kill(ProcessHandle(fiber->process));
  calls_.clear();
  try {
    run();
  } catch (const std::exception&) {
    // Stuck, or interrupted: its stacks are lost, but no destructor may run on them from here.
  }
  for (auto& fiber : slots_)
    if (fiber && fiber->self) static_cast<void>(fiber.release());
}

Simulation* Simulation::current() noexcept { return g_current; }

// ---- processes ----

ProcessHandle Simulation::start(std::string name, std::function<void()> body, double delay_s,
                                std::function<void(Process&)> on_end) {
  auto process = std::make_shared<Process>(std::move(name));
  process->on_end_ = std::move(on_end);
  if (running_ != nullptr) process->clock_offset_s_ = running_->process->clock_offset_s_;
  ++alive_;
  add_fiber(process, std::move(body), later(now_ns_, nanoseconds(delay_s)));
  return process;
}

void Simulation::start(std::function<void()> work) {
  add_fiber(running_->process, std::move(work), now_ns_);
}

void Simulation::add_fiber(const ProcessHandle& process, std::function<void()> body,
                           std::int64_t at_ns) {
  auto fiber = std::make_unique<Fiber>();
  fiber->process = process;
  fiber->body = std::move(body);
  fiber->state.scheduler = this;
  if (running_ != nullptr) {
    fiber->state.tidying = running_->state.tidying;
    fiber->state.cancellation = running_->state.cancellation;
  }
  ++process->fibers_;
  Fiber* const raw = fiber.get();
  GuardedStack stacks(kStackBytes);
  const context::stack_context stack = stacks.allocate();
  fiber->notes.set_stack(static_cast<char*>(stack.sp) - stack.size, stack.size);
  fiber->self =
      context::fiber(std::allocator_arg, context::preallocated(stack.sp, stack.size, stack), stacks,
                     [raw](context::fiber&& scheduler) {
                       raw->notes.at_begin();
                       raw->scheduler = std::move(scheduler);
                       try {
                         if (!raw->process->killed_) raw->body();
                       } catch (const Killed&) {
                       } catch (const std::exception& error) {
                         // Bodies handle their errors; what is left would end the program in a
                         // thread, too.
                         fmt::print(stderr, "a simulated process ended by: {}\n", error.what());
                         std::terminate();
                       }
                       raw->body = nullptr;
                       raw->done = true;
                       raw->notes.before_the_end();
                       return std::move(raw->scheduler);
                     });
  if (free_.empty()) {
    fiber->slot = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::move(fiber));
    generations_.push_back(0);
  } else {
    fiber->slot = free_.back();
    free_.pop_back();
    slots_[fiber->slot] = std::move(fiber);
  }
  schedule(raw->slot, at_ns);
}

void Simulation::schedule(std::uint32_t slot, std::int64_t at_ns) {
  if (at_ns == kNever) {
    ++generations_[slot];
    return;
  }
  events_.push({at_ns, rng_.next(), serial_++, slot, ++generations_[slot]});
}

void Simulation::call_later(double delay_s, std::function<void()> body) {
  const std::uint64_t serial = serial_++;
  calls_.emplace(serial, std::move(body));
  events_.push({later(now_ns_, nanoseconds(delay_s)), rng_.next(), serial, kNoSlot, 0});
}

void Simulation::kill(const ProcessHandle& process) {
  process->killed_ = true;
  process->frozen_until_ns_ = std::min(process->frozen_until_ns_, now_ns_);
  for (const auto& fiber : slots_) {
    if (!fiber || fiber->process != process || fiber.get() == running_) continue;
    forget_wait(*fiber);
    schedule(fiber->slot, now_ns_);
  }
  if (running_ != nullptr && running_->process == process) require_alive();
}

void Simulation::freeze(const ProcessHandle& process, double seconds) {
  process->frozen_until_ns_ = later(now_ns_, nanoseconds(seconds));
  if (running_ != nullptr && running_->process == process) pause(0);
}

void Simulation::jump_clock(const ProcessHandle& process, double seconds) {
  process->clock_offset_s_ += seconds;
}

// ---- the loop ----

bool Simulation::run(double seconds) {
  if (g_current == this) fail(Code::internal, "a simulation runs within itself");
  const std::unique_lock one_at_a_time(g_running);
  const ClockReplacement clock(static_cast<Clock&>(*this));
  struct Current {
    explicit Current(Simulation* simulation) { g_current = simulation; }
    ~Current() { g_current = nullptr; }
  } const is_current(this);
  const std::int64_t end_ns = later(now_ns_, nanoseconds(seconds));
  while (!events_.empty() && events_.top().at_ns <= end_ns) {
    if ((switches_ & 0xff) == 0 && interrupted()) fail(Code::cancelled, "interrupted");
    const Event event = events_.top();
    events_.pop();
    if (event.slot == kNoSlot) {
      now_ns_ = std::max(now_ns_, event.at_ns);
      const auto found = calls_.find(event.serial);
      if (found == calls_.end()) continue;
      const std::function<void()> body = std::move(found->second);
      calls_.erase(found);
      body();
      continue;
    }
    if (generations_[event.slot] != event.generation) continue;
    Fiber& fiber = *slots_[event.slot];
    if (fiber.process->frozen_until_ns_ > event.at_ns) {
      schedule(event.slot, fiber.process->frozen_until_ns_);
      continue;
    }
    now_ns_ = std::max(now_ns_, event.at_ns);
    fingerprint_ = mix({fingerprint_, static_cast<std::uint64_t>(event.at_ns), event.slot});
    resume(fiber);
  }
  if (end_ns != kNever) now_ns_ = std::max(now_ns_, end_ns);
  if (end_ns == kNever && alive_ > 0) fail_stuck();
  return alive_ == 0;
}

void Simulation::resume(Fiber& fiber) {
  ++switches_;
  forget_wait(fiber);
  running_ = &fiber;
  ThreadState* const before = exchange_thread_state(&fiber.state);
  fiber.exceptions.exchange();
  fiber.notes.before_entering();
  fiber.self = std::move(fiber.self).resume();
  fiber.notes.after_entering();
  fiber.exceptions.exchange();
  exchange_thread_state(before);
  running_ = nullptr;
  if (fiber.done) end(fiber);
}

void Simulation::end(Fiber& fiber) {
  const ProcessHandle process = fiber.process;
  const std::uint32_t slot = fiber.slot;
  ++generations_[slot];
  slots_[slot].reset();
  free_.push_back(slot);
  if (--process->fibers_ > 0) return;
  --alive_;
  if (const auto on_end = std::exchange(process->on_end_, nullptr)) on_end(*process);
}

void Simulation::fail_stuck() const {
  std::string names;
  std::size_t n = 0;
  for (const auto& fiber : slots_)
    if (fiber && ++n <= 5)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", fiber->process->name());
  fail(Code::internal, "simulation: after {:.3f} s, {} fibers wait for each other for ever: {}",
       now_s(), n, names);
}

void Simulation::switch_away() {
  Fiber& fiber = *running_;
  fiber.notes.before_leaving();
  fiber.scheduler = std::move(fiber.scheduler).resume();
  fiber.notes.after_leaving();
}

// ---- within a fiber ----

const ProcessHandle& Simulation::process() const { return running_->process; }

bool Simulation::require_alive() {
  Process& process = *running_->process;
  if (!process.killed_) return true;
  if (std::uncaught_exceptions() > 0) return false;
  if (++process.escapes_ > kMostEscapes) {
    fmt::print(stderr, "the simulated process {} was killed and goes on for ever\n",
               process.name());
    std::terminate();
  }
  throw Killed();
}

void Simulation::pause(double seconds) {
  require_alive();
  schedule(running_->slot, later(now_ns_, nanoseconds(seconds)));
  switch_away();
  require_alive();
}

void Simulation::wait_for(const void* what, TimePoint deadline) {
  require_alive();
  waiting_[what].push_back(running_->slot);
  running_->waits_for = what;
  schedule(running_->slot, std::max(now_ns_, since_begin(deadline)));
  switch_away();
  require_alive();
}

void Simulation::wait_for(const void* what, bool is_certain) {
  if (!is_certain) return wait_for(what, TimePoint::max());
  waiting_[what].push_back(running_->slot);
  running_->waits_for = what;
  schedule(running_->slot, kNever);
  switch_away();
}

void Simulation::notify(const void* what) noexcept {
  const auto found = waiting_.find(what);
  if (found == waiting_.end()) return;
  const std::vector<std::uint32_t> woken = std::move(found->second);
  waiting_.erase(found);
  for (const std::uint32_t slot : woken) {
    slots_[slot]->waits_for = nullptr;
    schedule(slot, now_ns_);
  }
}

void Simulation::forget_wait(Fiber& fiber) {
  if (fiber.waits_for == nullptr) return;
  const auto found = waiting_.find(fiber.waits_for);
  fiber.waits_for = nullptr;
  if (found == waiting_.end()) return;
  std::erase(found->second, fiber.slot);
  if (found->second.empty()) waiting_.erase(found);
}

void Simulation::computed(double rows) {
  if (require_alive() && on_computed) on_computed(rows);
}

// ---- the clock ----

TimePoint Simulation::now() { return kSteadyBegin + std::chrono::nanoseconds(now_ns_); }

WallTime Simulation::wall() {
  const double offset_s = running_ == nullptr ? 0 : running_->process->clock_offset_s_;
  return kBegin + std::chrono::duration_cast<WallTime::duration>(
                      std::chrono::nanoseconds(now_ns_) + std::chrono::duration<double>(offset_s));
}

void Simulation::sleep_until(TimePoint end) {
  if (running_ == nullptr) fail(Code::internal, "a pause in a simulation, but in no fiber of it");
  require_alive();
  schedule(running_->slot, std::max(now_ns_, since_begin(end)));
  switch_away();
  require_alive();
}

}  // namespace lambdaml::sim
