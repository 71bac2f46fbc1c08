#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim {

/// adam_beta1, adam_beta2 and adam_epsilon, for plug-ins that have an Adam.
std::vector<Option> adam_options();

/// Adam (Kingma, Ba 2015), with the bias corrections as PyTorch applies them. With step t, gradient
/// g and moments m, v, which begin with 0:
///   m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
///   w ← w − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
/// Two floats of state a parameter. Elementwise, so that every cut of the parameters gives the same
/// bytes. Used by one thread.
class Adam {
 public:
  Adam(const Options& options, std::size_t parameters);

  void step(std::span<const float> gradient, double lr, std::span<float> parameters);

  void add_to(State& state);
  /// The steps taken, as a scalar of the state.
  double steps() const { return steps_; }
  void set_steps(double steps) { steps_ = steps; }

 private:
  double beta1_;
  double beta2_;
  double epsilon_;
  double steps_ = 0;
  std::vector<float> first_;
  std::vector<float> second_;
};

}  // namespace lambdaml::optim
