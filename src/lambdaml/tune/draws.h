#pragma once

#include <cstdint>
#include <vector>

#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

/// The points of a search that draws them at random: Space::draw(), without the repetitions that a
/// space of few points gives. Such a search ends when it has tried all points.
class Draws {
 public:
  /// At most `trials` of them. Costs about as many draws.
  Draws(const StrategyInputs& inputs, std::uint64_t trials);

  std::uint64_t size() const { return size_; }
  /// The point of trial `trial` < size().
  Assignments at(std::uint64_t trial) const;

 private:
  Space space_;
  std::uint64_t seed_;
  std::uint64_t size_;
  std::vector<std::uint64_t> draws_;  ///< of each trial; empty: they are numbered alike
};

}  // namespace lambdaml::tune
