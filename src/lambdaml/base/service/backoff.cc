#include "lambdaml/base/service/backoff.h"

#include <algorithm>
#include <random>

namespace lambdaml {

double jitter() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0.5, 1.0)(random);
}

double Backoff::next_s() {
  const double pause_s = pause_s_ * jitter();
  pause_s_ = std::min(2 * pause_s_, longest_s_);
  return pause_s;
}

}  // namespace lambdaml
