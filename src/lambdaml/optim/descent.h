#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/adam.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/optim/schedule.h"

namespace lambdaml::optim {

/// optimizer, learning_rate_options(), momentum, adam_options() and l2, for plug-ins that descend
/// along gradients.
std::vector<Option> descent_options();
/// For Plugin::defaults: a learning rate by the data, and columns of one scale, unless a learning
/// rate is given.
std::map<std::string, std::string> descent_defaults(const Options& given);

/// A step along the gradient, in two halves, between which workers may merge. With
///   g = (Σ_i ∂loss_i + rows · l2 · w) / denominator
/// over the rows of a batch, where l2 · w applies to the penalized parameters only, so that the
/// objective is mean loss + l2/2 ‖w‖²:
///
/// `sgd`, with momentum as PyTorch defines it: v ← momentum · v + g, w ← w − lr · v. The share of a
/// worker is −lr · v.
/// `adam`: see Adam; the share is g. `adamw` (Loshchilov, Hutter 2019): g without the penalty, and
/// w ← w − lr · l2 · w before the step of Adam.
///
/// Shares are linear in the rows: with the rows of all workers as the denominator, the workers'
/// shares add up to that of one worker that has all rows. Statistics (see GradientModel::learned)
/// are updated differently, by Σ rows · change / denominator. Used by one thread.
class Descent {
 public:
  /// `rows` are those that all workers train on. `waits`: all have the same shares in apply(). If
  /// not, the moments of Adam are those of the worker's own gradients, and its share is its step,
  /// weighted by its part of the denominator, so that all end with the same model.
  Descent(model::GradientModel& model, const Options& options, LearningRate rate, double rows,
          bool waits = true);

  /// Chooses the learning rate if it is `auto`: a collective call with one merge of three numbers,
  /// else none. For sgd, 1 / L where the model knows its smoothness L: the mean of the workers' (of
  /// their rows, so not below that of all rows), corrected for batches of `batch_rows` of `rows`
  /// rows by Gower et al. 2019 ("SGD: general analysis and improved rates", proposition 3.8; with
  /// the mean over single rows where they have the largest). For other models, and for adam, a
  /// constant.
  void choose_rate(const model::Batch& rows, double batch_rows, comm::Communicator& communicator);

  /// Sets `share` for this batch at `parameters`; returns the batch's totals. Without rows (or with
  /// a denominator of 0) the gradient is 0 and momentum continues.
  model::Totals share(const model::Batch& batch, const Position& position,
                      std::span<const float> parameters, double denominator,
                      std::span<float> share);
  /// Moves the parameters by the sum of shares.
  void apply(std::span<const float> shares, const Position& position, std::span<float> parameters);

  /// Adds velocity or moments to the state.
  void add_to(State& state);
  /// The numbers of the state: none for sgd with a given learning rate.
  std::vector<double> scalars() const;
  /// Restores them from the front of `scalars` and returns the rest. Throws data_corrupt.
  std::span<const double> take_scalars(std::span<const double> scalars);

 private:
  bool penalizes_in_gradient() const { return l2_ != 0 && !decays_; }
  void step_of_adam(std::span<const float> gradient, const Position& position,
                    std::span<float> parameters);

  model::GradientModel& model_;
  LearningRate rate_;
  float momentum_;
  double l2_;
  double rows_;
  std::vector<std::pair<std::size_t, std::size_t>> penalized_;
  std::size_t learned_;
  std::vector<float> velocity_;  ///< empty without momentum
  bool decays_ = false;          ///< adamw
  std::optional<Adam> adam_;
  bool waits_;
  std::vector<float> scratch_;  ///< Adam's without waiting
};

}  // namespace lambdaml::optim
