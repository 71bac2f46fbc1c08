#include "gil.h"

#include <atomic>
#include <mutex>

#include <pthread.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::python {
namespace {

std::atomic<int> g_at_work{0};
std::atomic<bool> g_is_torn{false};

void note_fork() {
  if (g_at_work > 0) g_is_torn = true;
}

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

}  // namespace

Unlocked::Unlocked() : state_(PyEval_SaveThread()) {}

Unlocked::~Unlocked() {
  while (is_finalizing()) ::pause();
  PyEval_RestoreThread(state_);
}

AtWork::AtWork() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, note_fork); });
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
