#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/optim/lbfgs/history.h"
#include "lambdaml/optim/lbfgs/objective.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::lbfgs {
namespace {

/// How much of the decrease that the slope promises a step must bring (Armijo's condition).
constexpr double kSufficient = 1e-4;
/// Losses are sums of floats: differences below this share of the objective mean nothing.
constexpr double kNoise = 1e-7;
/// The step lengths of one search.
constexpr std::size_t kMostSteps = 8;
/// Accepted steps over which the decrease of the objective is judged.
constexpr std::size_t kWindow = 5;

/// The minimum of the cubic through the values and slopes at 0 and 1 (Nocedal, Wright, 3.59).
double cubic_minimum(double value0, double slope0, double value1, double slope1) {
  const double theta = 3 * (value0 - value1) + slope0 + slope1;
  const double root = std::sqrt(std::max(0.0, theta * theta - slope0 * slope1));
  const double t = (root - slope0 + theta) / (2 * root - slope0 + slope1);
  return std::isfinite(t) ? std::clamp(t, 0.05, 0.7) : 0.5;
}

/// Limited-memory BFGS over the rows of all workers (Nocedal, Wright 2006, algorithm 7.5), with an
/// L1 penalty as OWL-QN (Andrew, Gao 2007). All workers know the same parameters, history and
/// merged sums, and so take the same steps.
///
/// One epoch is one accepted step. Its first pass computes the gradient at the unit step along the
/// quasi-Newton direction, so that the loss by which the step is judged comes with the gradient of
/// the next one: one merge of a vector. Only if that step is refused, a second pass computes the
/// losses of several shorter ones, a merge of a few numbers, and a third one the gradient at the
/// best of them. If none of them is sufficient, the history is dropped, and steps along the
/// steepest descent are tried, of 2 · 4^-k F / ‖g‖², k = 0 … 7: the loss is not negative, so that
/// a longer one than the first cannot be the best of a quadratic. The first epoch begins with the
/// gradient at the initial parameters and such a search.
///
/// Ends when the gradient's norm is a small part of the first one's, when the objective has hardly
/// decreased over five epochs, or when no step decreases it.
class Lbfgs final : public Optimizer {
 public:
  Lbfgs(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        model_(gradient_model(problem_.model, "lbfgs")),
        objective_(model_, options, problem_.rows),
        tolerance_gradient_(options.real("lbfgs_tolerance_gradient")),
        tolerance_loss_(options.real("lbfgs_tolerance_loss")),
        history_(static_cast<std::size_t>(options.integer("lbfgs_memory")),
                 model_.parameter_count()) {
    if (model_.learned() != model_.parameter_count())
      fail(Code::invalid_argument,
           "the optimizer lbfgs needs a model without statistics such as batch normalization's; "
           "use grad_avg or model_avg");
  }

  std::uint64_t passes_per_epoch() const override { return passes_; }

  void begin(std::span<const float> parameters) override {
    w_.assign(parameters.begin(), parameters.end());
    trial_ = w_;
    for (std::vector<float>* vector : {&gradient_, &direction_, &steepest_, &scratch_})
      vector->assign(w_.size(), 0.0F);
    sums_.assign(w_.size(), 0.0);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    if (position.round == 0) begin_pass(position.pass);
    if (batch.rows() > 0) {
      if (searching_)
        add_losses(batch);
      else
        add_gradient(batch);
    }
    if (!position.last_of_pass) return {};
    const bool ended = searching_ ? end_search() : end_gradient(position);
    is_within_pass_ = false;
    if (!ended) ++passes_;
    return ended ? totals_ : model::Totals{};
  }

  std::span<const float> parameters() const override { return w_; }
  bool converged() const override { return converged_; }
  std::map<std::string, double> metrics() const override {
    return {{"objective", value_}, {"gradient_norm", norm_}};
  }

  State state() override {
    return {{"parameters", w_},          {"trial", trial_},
            {"gradient", gradient_},     {"direction", direction_},
            {"steps", history_.steps()}, {"changes", history_.changes()}};
  }
  /// Within a pass, the sums follow.
  std::vector<double> scalars() const override {
    std::vector<double> out = {static_cast<double>(passes_), value_, norm_, first_norm_};
    for (const bool flag : {started_, searching_, is_along_steepest_, is_chosen_, converged_})
      out.push_back(flag ? 1 : 0);
    append(out, totals_);
    append(out, own_);
    history_.append_scalars(out);
    for (const auto* numbers : {&lengths_, &losses_})
      out.insert(out.end(), numbers->begin(), numbers->end());
    out.insert(out.end(), values_.begin(), values_.end());
    if (is_within_pass_) out.insert(out.end(), sums_.begin(), sums_.end());
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    is_within_pass_ = scalars.size() == kScalars + sums_.size();
    if (!is_within_pass_) check_scalars(scalars, kScalars);
    if (!(scalars[0] >= 1 && scalars[0] < 1e6))
      fail(Code::data_corrupt, "the state of lbfgs: its number of passes is not possible");
    passes_ = static_cast<std::uint64_t>(scalars[0]);
    value_ = scalars[1];
    norm_ = scalars[2];
    first_norm_ = scalars[3];
    std::size_t at = 4;
    for (bool* flag : {&started_, &searching_, &is_along_steepest_, &is_chosen_, &converged_})
      *flag = scalars[at++] != 0;
    totals_ = take_totals(scalars, at);
    own_ = take_totals(scalars, at + 3);
    history_.set_scalars(scalars.subspan(at + 6, History::kScalars));
    at += 6 + History::kScalars;
    for (auto* numbers : {&lengths_, &losses_})
      for (double& number : *numbers) number = scalars[at++];
    for (double& value : values_) value = scalars[at++];
    if (is_within_pass_) std::copy(scalars.begin() + kScalars, scalars.end(), sums_.begin());
    points_.clear();
  }

 private:
  static constexpr std::size_t kScalars =
      4 + 5 + 3 + 3 + History::kScalars + 2 * kMostSteps + kWindow;

  static std::array<double, kWindow> no_values() {
    std::array<double, kWindow> out{};
    out.fill(std::numeric_limits<double>::infinity());
    return out;
  }

  void begin_pass(std::uint64_t pass) {
    if (pass == 0) passes_ = 1;
    is_within_pass_ = true;
    std::fill(sums_.begin(), sums_.end(), 0.0);
    losses_ = {};
    own_ = {};
    points_.clear();
  }

  void add_gradient(const model::Batch& batch) {
    std::fill(scratch_.begin(), scratch_.end(), 0.0F);
    own_ += model_.accumulate(batch, trial_, scratch_);
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += scratch_[i];
  }

  void add_losses(const model::Batch& batch) {
    if (points_.empty()) make_points();
    for (std::size_t k = 0; k < points_.size(); ++k)
      losses_[k] += model_.evaluate(batch, points_[k]).loss;
  }

  /// The parameters that a search compares.
  void make_points() {
    objective_.steepest(w_, gradient_, steepest_);
    for (const double length : lengths_) {
      if (length == 0) break;
      objective_.move(w_, length, direction_, steepest_, points_.emplace_back(w_.size()));
    }
  }

  /// The change of the objective that the slope at w promises of a step to `point`: ≤ 0.
  double promised(std::span<const float> point) const {
    double sum = 0;
    for (std::size_t i = 0; i < w_.size(); ++i)
      sum += static_cast<double>(steepest_[i]) * (static_cast<double>(point[i]) - w_[i]);
    return sum;
  }

  /// The end of a pass that computed the gradient at `trial_`. Returns whether the epoch is over.
  bool end_gradient(const Position& position) {
    std::array<double, 3> numbers{own_.loss, own_.rows, own_.correct};
    for (std::size_t i = 0; i < sums_.size(); ++i) scratch_[i] = static_cast<float>(sums_[i]);
    problem_.communicator.merge({scratch_, numbers}, comm::Meaning::state);
    const auto mean = static_cast<float>(1.0 / numbers[1]);
    for (float& value : scratch_) value *= mean;
    objective_.add_penalty_gradient(trial_, scratch_);
    const model::Totals totals{numbers[0], numbers[1], numbers[2]};
    const double value = totals.loss / totals.rows + objective_.penalty(trial_);
    const bool finite = std::isfinite(value) && std::isfinite(dot(scratch_, scratch_));
    if (!started_) {
      if (!finite) fail_diverged(position);
      started_ = true;
      accept(value, totals);
      first_norm_ = norm_;
      if (norm_ == 0) return converge("the gradient is 0");
      search_along_steepest();
      return false;
    }
    objective_.steepest(w_, gradient_, steepest_);
    const double expected = promised(trial_);
    if (!finite || !is_sufficient(value, expected)) {
      search_along_direction(finite, value, expected);
      return false;
    }
    for (std::size_t i = 0; i < w_.size(); ++i) {
      direction_[i] = trial_[i] - w_[i];
      gradient_[i] = scratch_[i] - gradient_[i];
    }
    history_.add(direction_, gradient_);
    accept(value, totals);
    if (!judge()) propose();
    return true;
  }

  /// Whether the step to `trial_`, where scratch_ is the gradient, is to be taken.
  bool is_sufficient(double value, double expected) const {
    if (is_chosen_ || value <= value_ + kSufficient * expected) return true;
    // Where the values differ by no more than their noise, the slopes decide (Hager, Zhang 2005:
    // the approximate Wolfe condition).
    return objective_.is_smooth() && value <= value_ + kNoise * std::abs(value_) &&
           dot(scratch_, direction_) <= -0.8 * expected;
  }

  /// Makes the trial, of which scratch_ is the gradient, the current parameters.
  void accept(double value, const model::Totals& totals) {
    w_ = trial_;
    std::swap(gradient_, scratch_);
    totals_ = totals;
    value_ = value;
    objective_.steepest(w_, gradient_, steepest_);
    norm_ = std::sqrt(dot(steepest_, steepest_));
    std::rotate(values_.begin(), values_.begin() + 1, values_.end());
    values_.back() = value;
    is_chosen_ = false;
  }

  bool converge(const char* why) {
    log::info("lbfgs: converged: {}; objective {:.9g}, norm of the gradient {:.3g}", why, value_,
              norm_);
    return converged_ = true;
  }

  /// Whether the current parameters are good enough.
  bool judge() {
    if (norm_ <= tolerance_gradient_ * first_norm_)
      return converge("the gradient is a small part of the first one");
    const double before = values_.front();  // infinite in the first epochs
    if (before - value_ < tolerance_loss_ * kWindow * std::abs(value_))
      return converge("the objective hardly decreases any more");
    return false;
  }

  /// Sets the trial to the unit step of the quasi-Newton direction.
  void propose() {
    std::vector<double> v(steepest_.begin(), steepest_.end());
    history_.multiply(v);
    for (double& value : v) value = -value;
    objective_.align(w_, steepest_, v);
    std::copy(v.begin(), v.end(), direction_.begin());
    is_along_steepest_ = false;
    searching_ = false;
    if (!(dot(steepest_, direction_) < 0)) return search_along_steepest();
    objective_.move(w_, 1, direction_, steepest_, trial_);
  }

  void search_along_steepest() {
    history_.clear();
    for (std::size_t i = 0; i < w_.size(); ++i) direction_[i] = -steepest_[i];
    is_along_steepest_ = true;
    searching_ = true;
    lengths_.fill(0);
    double length = 2 * value_ / (norm_ * norm_);
    for (double& each : lengths_) {
      each = length;
      length /= 4;
    }
  }

  /// Searches among steps shorter than that to `trial_`, which was refused.
  void search_along_direction(bool finite, double value, double expected) {
    searching_ = true;
    lengths_.fill(0);
    const bool known = finite && objective_.is_smooth();
    double length = known ? cubic_minimum(value_, expected, value, dot(scratch_, direction_)) : 0.5;
    for (std::size_t k = 0; k < 4; ++k) {
      lengths_[k] = length;
      length /= 4;
    }
  }

  /// The end of a pass that computed the losses of steps. Returns whether the epoch is over.
  bool end_search() {
    if (points_.empty()) make_points();  // a worker without rows
    problem_.communicator.merge({{}, losses_}, comm::Meaning::state);
    std::size_t best = points_.size();
    double lowest = 0;
    for (std::size_t k = 0; k < points_.size(); ++k) {
      const double value = losses_[k] / problem_.rows + objective_.penalty(points_[k]);
      if (!(value <= value_ + kSufficient * promised(points_[k]))) continue;
      if (best < points_.size() && value >= lowest) continue;
      best = k;
      lowest = value;
    }
    if (best < points_.size()) {
      trial_ = points_[best];
      searching_ = false;
      is_chosen_ = true;
      return false;
    }
    if (is_along_steepest_) return converge("no step decreases the objective");
    search_along_steepest();
    return false;
  }

  Problem problem_;
  model::GradientModel& model_;
  Objective objective_;
  double tolerance_gradient_;
  double tolerance_loss_;
  std::vector<float> w_;
  std::vector<float> trial_;      ///< where the next gradient is computed
  std::vector<float> gradient_;   ///< of the objective's smooth part at w
  std::vector<float> direction_;  ///< of the trial, or of the search
  History history_;
  std::uint64_t passes_ = 1;  ///< of this epoch, as far as is known
  double value_ = 0;          ///< the objective at w
  double norm_ = 0;           ///< of its steepest direction at w
  double first_norm_ = 0;
  bool started_ = false;            ///< the gradient at the initial parameters is known
  bool searching_ = false;          ///< this pass, or the next one, compares steps
  bool is_along_steepest_ = false;  ///< the search
  bool is_chosen_ = false;          ///< the trial is the result of a search
  bool converged_ = false;
  std::array<double, kMostSteps> lengths_{};          ///< of the search's steps; 0: none
  std::array<double, kMostSteps> losses_{};           ///< this worker's, of this pass
  std::array<double, kWindow> values_ = no_values();  ///< the newest objectives
  model::Totals totals_;                              ///< of all workers at w
  model::Totals own_;                                 ///< this worker's, of this pass
  bool is_within_pass_ = false;
  std::vector<double> sums_;  ///< this worker's, of this pass
  std::vector<float> steepest_;
  std::vector<float> scratch_;
  std::vector<std::vector<float>> points_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "lbfgs",
       .help = "L-BFGS over all rows, for linear models; OWL-QN with an L1 penalty",
       .options = {l2_option(),
                   l1_option(),
                   {.name = "lbfgs_memory",
                    .default_value = std::int64_t{10},
                    .help = "steps that L-BFGS remembers",
                    .minimum = 1,
                    .maximum = 1000},
                   {.name = "lbfgs_tolerance_gradient",
                    .default_value = 1e-5,
                    .help = "L-BFGS ends when the gradient's norm is this part of the first one's",
                    .minimum = 0},
                   {.name = "lbfgs_tolerance_loss",
                    .default_value = 1e-7,
                    .help = "L-BFGS ends when the objective decreases by less than this part an "
                            "epoch, over five epochs",
                    .minimum = 0}},
       .metrics = {{.name = "objective", .help = "mean loss and penalties", .label = "objective"},
                   {.name = "gradient_norm", .help = "norm of the objective's steepest direction"}},
       .defaults = {{"epochs", "200"}, {"batch_size", "16384"}, {"l2", "auto"}, {"loss", "squared_hinge"}},
       .merges_increments = false,
       .steps_by_batch = false,
       .needs_all_workers = true,
       .make = [](Problem problem, const Options& options) {
         return std::make_unique<Lbfgs>(std::move(problem), options);
       }});
}

}  // namespace lambdaml::optim::lbfgs
