#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim {

/// ema, for plug-ins that have a MovingAverage.
Option ema_option();

/// The exponential moving average of a model over its steps, parameters and statistics alike
/// (Polyak, Juditsky 1992; as PyTorch's AveragedModel): that of the first step is its model, and
/// then a ← ema · a + (1 − ema) · w. It is the model that is evaluated and saved; training goes on
/// with w. One float for every parameter. Used by one thread.
class MovingAverage {
 public:
  /// `waits`: all workers have the same steps. Throws invalid_argument without.
  MovingAverage(const Options& options, bool waits);

  bool is_on() const { return keep_ > 0; }
  /// Of a model of so many parameters.
  std::uint64_t bytes(std::size_t parameters) const {
    return is_on() ? parameters * sizeof(float) : 0;
  }
  void begin(std::span<const float> parameters);
  /// After a step.
  void add(std::span<const float> parameters);
  /// The average, or what is given where there is none.
  std::span<const float> or_else(std::span<const float> parameters) const;

  void add_to(State& state);
  void append_scalars(std::vector<double>& scalars) const;
  /// Restores its numbers from the front and returns the rest. Throws data_corrupt.
  std::span<const double> take_scalars(std::span<const double> scalars);

 private:
  double keep_;
  bool has_steps_ = false;
  std::vector<float> average_;
};

}  // namespace lambdaml::optim
