#include "gil.h"

#include <atomic>
#include <thread>

#include <pthread.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::python {
namespace {

std::atomic<int> g_at_work{0};
std::atomic<bool> g_is_torn{false};

/// Threads that are about to take Python's lock.
std::atomic<int> g_returning{0};
/// The thread that ends the interpreter; of no thread before that.
std::atomic<std::thread::id> g_ending{};

/// Runs in the child, whose only thread is the one that forked.
void note_fork() {
  if (g_at_work > 0) g_is_torn = true;
  g_returning = 0;
}

void arrive() {
  --g_returning;
  g_returning.notify_all();
}

}  // namespace

Unlocked::Unlocked() : state_(PyEval_SaveThread()) {}

Unlocked::~Unlocked() {
  ++g_returning;
  // Counted first: either this thread sees that the interpreter ends, or stop_returns() waits for
  // it.
  const std::thread::id ending = g_ending;
  if (ending != std::thread::id() && ending != std::this_thread::get_id()) {
    arrive();
    while (true) ::pause();
  }
  PyEval_RestoreThread(state_);
  arrive();
}

void stop_returns() {
  g_ending = std::this_thread::get_id();
  unlocked([] {
    while (const int others = g_returning) g_returning.wait(others);
  });
}

void watch_forks() { pthread_atfork(nullptr, nullptr, note_fork); }

AtWork::AtWork() {
  require_whole_process();
  ++g_at_work;
}

AtWork::~AtWork() { --g_at_work; }

void require_whole_process() {
  if (g_is_torn)
    fail(Code::unavailable,
         "lambdaml cannot be used in this process: it was forked while a job ran in its parent, "
         "whose threads are missing here; start processes with multiprocessing's 'spawn' or "
         "'forkserver'");
}

}  // namespace lambdaml::python
