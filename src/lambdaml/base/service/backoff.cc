#include "lambdaml/base/service/backoff.h"

#include <algorithm>
#include <random>

#include "lambdaml/base/fibers/scheduler.h"

namespace lambdaml {

double jitter() {
  ThreadState& state = thread_state();
  if (!state.random)
    state.random.emplace(state.scheduler != nullptr
                             ? static_cast<unsigned>(state.scheduler->random_number())
                             : std::random_device{}());
  return std::uniform_real_distribution<double>(0.5, 1.0)(*state.random);
}

double Backoff::next_s() {
  const double pause_s = pause_s_ * jitter();
  pause_s_ = std::min(2 * pause_s_, longest_s_);
  return pause_s;
}

}  // namespace lambdaml
