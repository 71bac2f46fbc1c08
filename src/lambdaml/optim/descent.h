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
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/optim/schedule.h"
#include "lambdaml/optim/step_rule.h"

namespace lambdaml::optim {

/// step_options(), learning_rate_options() and l2, for plug-ins that descend along gradients.
std::vector<Option> descent_options();
/// Those, norm_options(), `moments` and `ema`, for plug-ins that have a Descent.
std::vector<Option> averaging_options();
/// For Plugin::defaults: a learning rate by the data, and columns of one scale, unless a learning
/// rate is given; momentum where the optimizer is made for it.
std::map<std::string, std::string> descent_defaults(const Options& given);

/// A step along the gradient of mean loss + l2/2 ‖w‖² by a StepRule, in two halves, between which
/// workers may merge. Each worker contributes its share, and the sum of shares moves the
/// parameters. With G = Σ_i ∂loss_i / denominator over the rows of a batch, by `moments`:
///
/// `merged`: the share is G, and the rule is applied to the sum of shares, on all workers alike.
/// `own`: the rule is applied to the worker's own gradient, and the share is its step, weighted by
/// its part of the denominator. Where the rule is linear, that is the same but for rounding and
/// clipping.
///
/// With the rows of all workers as the denominator, shares add up to that of one worker that has
/// all rows (`own`: if the rule is linear). Statistics (see GradientModel::learned) are updated
/// differently, by Σ rows · change / denominator. Used by one thread.
class Descent {
 public:
  enum class Moments { own, merged };
  /// Of the option `moments`: for `auto` merged only if the rule is not linear, as in versions
  /// without the option. `waits`: all have the same shares in apply(), which `merged` needs; throws
  /// invalid_argument where it is asked for without that.
  static Moments moments_of(const Options& options, bool waits);

  /// `rows` are those that all workers train on.
  Descent(model::GradientModel& model, const Options& options, LearningRate rate, double rows,
          Moments moments);

  /// Chooses the learning rate if it is `auto`: a collective call with one merge of three numbers,
  /// else none. For sgd and nesterov, 1 / L where the model knows its smoothness L: the mean of the
  /// workers' (of their rows, so not below that of all rows), corrected for batches of `batch_rows`
  /// of `rows` rows by Gower et al. 2019 ("SGD: general analysis and improved rates", proposition
  /// 3.8; with the mean over single rows where they have the largest). Elsewhere a constant.
  void choose_rate(const model::Batch& rows, double batch_rows, comm::Communicator& communicator);

  /// Sets all moments to 0. `ranges`: those of the parameters that this worker steps.
  void begin(std::vector<comm::Range> ranges);

  /// Sets `share` for this batch at `parameters`; returns the batch's totals. Without rows (or with
  /// a denominator of 0) the gradient is 0 and momentum continues.
  model::Totals share(const model::Batch& batch, const Position& position,
                      std::span<const float> parameters, double denominator,
                      std::span<float> share);
  /// Moves the parameters by the sum of shares.
  void apply(std::span<const float> shares, const Position& position, std::span<float> parameters);

  /// Like share() and apply() with merged moments, with the merge between them (see
  /// Communicator::merge_and_step): each aggregator steps its own parameters, and alone has their
  /// moments. Sets `totals` to those of all. `share` becomes the new parameters.
  void merge_and_step(comm::Communicator& communicator, const Position& position,
                      std::span<const float> parameters, std::span<float> share,
                      model::Totals& totals);
  /// Whether the rule has moments that aggregators could share out.
  bool has_moments() const { return !rule_.moments().empty(); }
  /// The bytes of the moments of so many parameters.
  std::uint64_t moment_bytes(std::size_t parameters) const {
    return rule_.moments().size() * parameters * sizeof(float);
  }
  /// The bytes of what it needs besides, of so many parameters.
  std::uint64_t scratch_bytes(std::size_t parameters) const {
    return kind_ == Moments::own && !rule_.is_linear() ? parameters * sizeof(float) : 0;
  }

  /// Each with a float for every learned parameter of the ranges.
  std::vector<std::span<float>> moments();
  /// Steps that the rule has taken; only Adam counts them.
  double steps() const { return steps_; }
  void set_steps(double steps) { steps_ = steps; }

  /// Adds velocity or moments to the state.
  void add_to(State& state);
  /// Those of which this worker has its ranges only.
  Cut cut() const;
  /// The numbers of the state: none for sgd with a given learning rate.
  std::vector<double> scalars() const;
  /// Restores them from the front of `scalars` and returns the rest. Throws data_corrupt.
  std::span<const double> take_scalars(std::span<const double> scalars);

 private:
  class RangeStep;

  void share_linear_step(const model::Totals& totals, double denominator, double lr,
                         std::span<const float> parameters, std::span<float> share);
  void share_own_step(const model::Totals& totals, double denominator, const Position& position,
                      std::span<const float> parameters, std::span<float> share);
  /// Moves the learned parameters along a gradient.
  void step(std::span<const float> gradient, const Position& position, std::span<float> parameters);

  model::GradientModel& model_;
  LearningRate rate_;
  double l2_;
  double rows_;
  StepRule rule_;
  Moments kind_;
  std::size_t learned_;
  double steps_ = 0;
  std::vector<comm::Range> ranges_;          ///< of learned parameters that have moments here
  std::vector<std::vector<float>> moments_;  ///< in the order of StepRule::moments()
  std::vector<float> scratch_;               ///< of own steps
};

}  // namespace lambdaml::optim
