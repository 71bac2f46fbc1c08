#include "lambdaml/base/fibers/scheduler.h"

#include <utility>

namespace lambdaml {
namespace {

thread_local ThreadState t_own;
thread_local ThreadState* t_of_fiber = nullptr;

}  // namespace

ThreadState& thread_state() noexcept { return t_of_fiber == nullptr ? t_own : *t_of_fiber; }

ThreadState* exchange_thread_state(ThreadState* state) noexcept {
  return std::exchange(t_of_fiber, state);
}

}  // namespace lambdaml
