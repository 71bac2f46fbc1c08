#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

Strategy::Next WholeTrials::next(std::span<const Segment> segments) {
  const std::uint64_t trial = segments.size();
  if (trial >= trials()) return {};
  return {Next::What::start, trial, whole_epochs(trial)};
}

std::uint64_t WholeTrials::expected_epochs() const {
  std::uint64_t sum = 0;
  for (std::uint64_t trial = 0; trial < trials(); ++trial) sum += whole_epochs(trial);
  return sum;
}

}  // namespace lambdaml::tune
