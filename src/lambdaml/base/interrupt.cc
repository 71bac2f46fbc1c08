#include "lambdaml/base/interrupt.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/scheduler.h"

namespace lambdaml {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
/// Some senders deliver one interrupt twice: to the process and, right after, to its group (as
/// timeout(1) does).
constexpr std::int64_t kSame_ns = 100'000'000;

/// Nanoseconds of the steady clock at the first interrupt; 0: none yet. Lock-free, so a signal
/// handler may access it.
std::atomic<std::int64_t> g_interrupted_ns{0};
std::atomic<int> g_event{-1};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

/// An ignored signal stays ignored: nohup(1) ignores SIGHUP for its command, and a shell SIGINT for
/// a job in the background.
void set_handler(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  for (const int signal : kSignals) {
    struct sigaction present {};
    if (::sigaction(signal, nullptr, &present) == 0 && present.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
  }
}

/// Async-signal-safe, as clock_gettime is.
std::int64_t steady_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

/// Calls only async-signal-safe functions (signal-safety(7)).
void on_signal(int signal) {
  const int error = errno;
  const std::int64_t now_ns = steady_ns();
  std::int64_t first_ns = 0;
  if (g_interrupted_ns.compare_exchange_strong(first_ns, now_ns)) {
    const std::uint64_t one = 1;
    if (::write(g_event, &one, sizeof one) < 0) {
      // The counter is at its maximum, so the descriptor is readable, which is all that matters.
    }
  } else if (now_ns - first_ns > kSame_ns) {
    set_handler(SIG_DFL);
    ::raise(signal);  // delivered when this handler has returned
  }
  errno = error;
}

}  // namespace

void catch_interrupts() {
  set_handler(SIG_DFL);
  g_interrupted_ns = 0;
  // A new eventfd under the old number: after a fork() both processes could write to the old one.
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) fail_errno(errno, "catching interrupts");
  if (g_event < 0) {
    g_event = event;
  } else {
    ::dup3(event, g_event, O_CLOEXEC);
    ::close(event);
  }
  set_handler(on_signal);
}

bool interrupted() noexcept {
  const Cancellation* const own = thread_state().cancellation;
  return g_interrupted_ns.load(std::memory_order_relaxed) != 0 ||
         (own != nullptr && own->cancelled());
}

Cancellation::Cancellation() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_ < 0) fail_errno(errno, "preparing to cancel a job");
}

Cancellation::~Cancellation() { ::close(event_); }

void Cancellation::cancel() noexcept {
  std::int64_t first_ns = 0;
  if (!at_ns_.compare_exchange_strong(first_ns, steady_ns())) return;
  const std::uint64_t one = 1;
  if (::write(event_, &one, sizeof one) < 0) {
    // As in on_signal().
  }
}

Cancellation* Cancellation::current() noexcept { return thread_state().cancellation; }

Cancellation::Scope::Scope(Cancellation* cancellation) noexcept
    : before_(std::exchange(thread_state().cancellation, cancellation)) {}
Cancellation::Scope::~Scope() { thread_state().cancellation = before_; }

Deadline interrupt_deadline() noexcept {
  const ThreadState& state = thread_state();
  std::int64_t at = g_interrupted_ns.load(std::memory_order_relaxed);
  if (at == 0 && state.cancellation != nullptr)
    at = state.cancellation->at_ns_.load(std::memory_order_relaxed);
  if (at == 0) return Deadline::never();
  const auto end = Deadline::at(TimePoint(std::chrono::nanoseconds(at)));
  return state.tidying > 0 ? end.later_by(kTidying_s) : end;
}

void throw_if_interrupted() {
  if (interrupt_deadline().passed()) fail(Code::cancelled, "interrupted");
}

int interrupt_fd() noexcept {
  const ThreadState& state = thread_state();
  const bool tidies = state.tidying > 0;
  if (state.cancellation != nullptr)
    return tidies && state.cancellation->cancelled() ? -1 : state.cancellation->event_;
  return tidies && g_interrupted_ns != 0 ? -1 : g_event.load();
}

Tidying::Tidying(bool on) noexcept : on_(on) { thread_state().tidying += on_ ? 1 : 0; }
Tidying::~Tidying() { thread_state().tidying -= on_ ? 1 : 0; }
bool Tidying::is_active() noexcept { return thread_state().tidying > 0; }

}  // namespace lambdaml
