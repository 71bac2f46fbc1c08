#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/optim/schedule.h"

namespace lambdaml::optim {

/// learning_rate_options(), momentum and l2, for plug-ins that descend along gradients.
std::vector<Option> descent_options();

/// One worker's share of stochastic gradient descent with momentum, as PyTorch defines it:
///   v ← momentum · v + g,   w ← w − lr · v,   g = (Σ_i ∂loss_i + rows · l2 · w) / denominator
/// over the rows of its batch; l2 · w applies to the penalized parameters only, so that the
/// objective is mean loss + l2/2 ‖w‖². Statistics (see GradientModel::learned) are updated
/// differently, by Σ rows · change / denominator. All of it is linear in the rows: with the rows of
/// all workers as the denominator, the workers' steps add up to the step of one worker that has all
/// rows. Used by one thread.
class Descent {
 public:
  /// `rows` are those that all workers train on.
  Descent(model::GradientModel& model, const Options& options, LearningRate rate, double rows);

  /// Sets `update` to −lr · v for this batch at `parameters`; returns the batch's totals. Without
  /// rows (or with a denominator of 0) the gradient is 0 and momentum continues.
  model::Totals step(const model::Batch& batch, const Position& position,
                     std::span<const float> parameters, double denominator,
                     std::span<float> update);

  /// Adds the velocity to the state if there is momentum.
  void add_to(State& state);

 private:
  model::GradientModel& model_;
  LearningRate rate_;
  float momentum_;
  double l2_;
  std::vector<std::pair<std::size_t, std::size_t>> penalized_;
  std::size_t learned_;
  std::vector<float> velocity_;  ///< empty without momentum
};

}  // namespace lambdaml::optim
