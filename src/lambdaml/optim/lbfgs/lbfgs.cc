#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/optim/minimizer.h"
#include "lambdaml/optim/pass.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::lbfgs {
namespace {

/// L-BFGS over the rows of all workers. All workers know the same parameters, history and merged
/// sums, and so take the same steps (see Minimizer).
///
/// One epoch is one accepted step: a pass that computes the gradient at its end, with one merge of
/// a vector, if the step is not refused; otherwise also passes that compute the losses of shorter
/// ones, each with a merge of a few numbers, and the gradient at the best of them.
///
/// Ends when the gradient's norm is a small part of the first one's, when the objective has hardly
/// decreased over five epochs, or when no step decreases it. Losses in float32 say nothing of the
/// last digits of parameters: without a tolerance for them, it goes on until the gradient does not
/// become smaller either. Real is float, or double: then everything but the rows and the history is
/// computed and merged in double, and the gradient goes on to become smaller (ADR 85).
template <class Real>
class Lbfgs final : public Optimizer {
 public:
  Lbfgs(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        model_(gradient_model(problem_.model, "lbfgs")),
        sums_(sums_of(model_)),
        tolerance_gradient_(options.real("lbfgs_tolerance_gradient")),
        tolerance_loss_(options.real("lbfgs_tolerance_loss")),
        minimizer_(BasicObjective<Real>(l2_weight(options, problem_.rows), options.real("lambda"),
                                        model_.penalized()),
                   static_cast<std::size_t>(options.integer("lbfgs_memory")),
                   model_.parameter_count()),
        pass_(model_.parameter_count()) {
    if (model_.learned() != model_.parameter_count())
      fail(Code::invalid_argument,
           "the optimizer lbfgs needs a model without statistics such as batch normalization's; "
           "use grad_avg or model_avg");
  }

  std::uint64_t passes_per_epoch() const override { return passes_; }
  std::uint64_t vector_bytes() const override {
    const std::size_t count = model_.parameter_count();
    return minimizer_.bytes() + pass_.bytes() + count * (sizeof(Real) + sizeof(float)) +
           (kIsDouble ? count * sizeof(float) : 0);
  }
  std::uint64_t state_bytes() const override {
    const std::size_t floats = model_.parameter_count() * (kIsDouble ? 2 : 1);
    return minimizer_.state_bytes() + pass_.state_bytes() + floats * sizeof(float);
  }
  bool merges_doubles() const override { return kIsDouble; }
  void set_penalty_factors(std::vector<float> factors) override {
    minimizer_.objective().set_factors(std::move(factors));
  }

  /// Columns of a text differ in their sums of squares by orders of magnitude, and so do the
  /// curvatures of the objective by their weights. Bounds of these are known before the first step;
  /// where rows are classified well, however, the loss has little curvature left, and what remains
  /// is the penalty's, which is the same for all. So the scales lie halfway between: on agaricus
  /// the bounds themselves take three times as many steps as no scales, on 200,000 rows of text a
  /// third; their roots take as many and a third. One merge of a vector.
  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    std::vector<double> curvatures(model_.parameter_count());
    if (!model_.add_curvatures(rows, curvatures)) return;
    std::vector<float> merged(curvatures.size());
    std::ranges::transform(curvatures, merged.begin(),
                           [](double sum) { return static_cast<float>(sum); });
    auto n = static_cast<double>(rows.rows());
    communicator.merge({merged, {&n, 1}}, comm::Meaning::state);
    for (float& curvature : merged) curvature = static_cast<float>(curvature / n);
    minimizer_.objective().add_penalty_curvatures(merged);
    const float largest = *std::ranges::max_element(merged);
    if (!(largest > 0) || !std::isfinite(largest)) return;
    // Of a column of zeros there is none, and no gradient.
    scales_.resize(merged.size());
    for (std::size_t i = 0; i < scales_.size(); ++i)
      scales_[i] = 1 / std::sqrt(std::max(merged[i], 1e-12F * largest));
  }

  void begin(std::span<const float> parameters) override {
    scales_.resize(parameters.size(), 1.0F);
    merged_.resize(parameters.size());
    if constexpr (kIsDouble) rounded_.resize(parameters.size());
    minimizer_.history().clear();
    minimizer_.history().set_scales(scales_);
    minimizer_.begin(std::vector<Real>(parameters.begin(), parameters.end()));
    round();
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    if (position.round == 0) {
      if (position.pass == 0) passes_ = 1;
      is_within_pass_ = true;
      pass_.begin();
    }
    pass_.add(sums_, batch, minimizer_);
    if (!position.last_of_pass) return {};
    const bool ended = minimizer_.asks_for_losses() ? answer_losses() : answer_gradient(position);
    is_within_pass_ = false;
    round();
    if (!ended) ++passes_;
    return ended ? totals_ : model::Totals{};
  }

  std::span<const float> parameters() const override {
    if constexpr (kIsDouble)
      return rounded_;
    else
      return minimizer_.parameters();
  }
  bool converged() const override { return converged_; }
  std::map<std::string, double> metrics() const override {
    return {{"objective", minimizer_.value()}, {"gradient_norm", minimizer_.norm()}};
  }

  State state() override {
    State state = minimizer_.state();
    state["scales"] = scales_;
    if constexpr (kIsDouble) state["parameters"] = rounded_;
    return state;
  }
  /// Within a pass, its sums follow.
  std::vector<double> scalars() const override {
    std::vector<double> out = {static_cast<double>(passes_), converged_ ? 1.0 : 0.0};
    append(out, totals_);
    out.push_back(smallest_norm_);
    out.push_back(lowest_value_);
    out.push_back(epochs_without_better_);
    const std::vector<double> rest = minimizer_.scalars();
    out.insert(out.end(), rest.begin(), rest.end());
    if (is_within_pass_) pass_.append_scalars(out);
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    const std::size_t count = 8 + minimizer_.scalar_count();
    is_within_pass_ = scalars.size() == count + pass_.scalar_count();
    if (!is_within_pass_) check_scalars(scalars, count);
    if (!(scalars[0] >= 1 && scalars[0] < 1e6))
      fail(Code::data_corrupt, "the state of lbfgs: its number of passes is not possible");
    passes_ = static_cast<std::uint64_t>(scalars[0]);
    converged_ = scalars[1] != 0;
    totals_ = take_totals(scalars, 2);
    smallest_norm_ = scalars[5];
    lowest_value_ = scalars[6];
    epochs_without_better_ = static_cast<int>(std::clamp(scalars[7], 0.0, 1.0 * kPatience));
    minimizer_.set_scalars(scalars.subspan(8, minimizer_.scalar_count()));
    if (is_within_pass_) pass_.set_scalars(scalars.subspan(count));
    round();
  }

 private:
  static constexpr bool kIsDouble = std::is_same_v<Real, double>;
  using Minimizer = BasicMinimizer<Real>;
  using Answer = typename Minimizer::Answer;
  using Sums = typename BasicPass<Real>::Sums;
  /// Epochs without a smaller gradient after which rounding is all that is left of it.
  static constexpr int kPatience = 30;
  static constexpr double kLess = 0.9;
  /// Of the objective, a mean of losses.
  static constexpr double kNoise = kIsDouble ? 1e-14 : 1e-9;

  static Sums& sums_of(model::GradientModel& model) {
    if constexpr (kIsDouble) {
      if (model.in_double() != nullptr) return *model.in_double();
      fail(Code::invalid_argument,
           "lbfgs_precision: this model has no sums in double; linear models have them");
    } else {
      return model;
    }
  }

  void round() {
    if constexpr (kIsDouble)
      std::ranges::transform(minimizer_.parameters(), rounded_.begin(),
                             [](double value) { return static_cast<float>(value); });
  }

  /// Returns whether the epoch is over, as the next one does.
  bool answer_gradient(const Position& position) {
    const std::array<double, 3> numbers = merge_gradient();
    const auto mean = static_cast<Real>(1.0 / numbers[1]);
    for (Real& value : merged_) value *= mean;
    switch (minimizer_.take_gradient(numbers[0] / numbers[1], merged_)) {
      case Answer::not_finite:
        fail_diverged(position);
      case Answer::stuck:
        // At the initial parameters, or a trial was refused.
        if (totals_.rows == 0) totals_ = {numbers[0], numbers[1], numbers[2]};
        return converge(minimizer_.norm() == 0 ? "the gradient is 0"
                                               : "no step decreases the objective");
      case Answer::moved:
        totals_ = {numbers[0], numbers[1], numbers[2]};
        if (!judge(position.epoch + 1)) minimizer_.propose();
        return true;
      case Answer::more:
        // At the initial parameters, or refused.
        if (totals_.rows == 0) totals_ = {numbers[0], numbers[1], numbers[2]};
        break;
    }
    return false;
  }

  /// Sets `merged_` to the sum over all rows; returns their loss, their number and the correct
  /// ones.
  std::array<double, 3> merge_gradient() {
    const model::Totals& own = pass_.totals();
    std::array<double, 3> numbers{own.loss, own.rows, own.correct};
    const std::span<const double> sums = pass_.gradient();
    if constexpr (kIsDouble) {
      std::vector<double> all(numbers.begin(), numbers.end());
      all.insert(all.end(), sums.begin(), sums.end());
      problem_.communicator.merge({{}, all}, comm::Meaning::state);
      std::copy_n(all.begin(), numbers.size(), numbers.begin());
      std::copy(all.begin() + numbers.size(), all.end(), merged_.begin());
    } else {
      std::ranges::transform(sums, merged_.begin(),
                             [](double sum) { return static_cast<float>(sum); });
      problem_.communicator.merge({merged_, numbers}, comm::Meaning::state);
    }
    return numbers;
  }

  bool answer_losses() {
    auto& losses = pass_.losses();
    problem_.communicator.merge({{}, losses}, comm::Meaning::state);
    for (double& loss : losses) loss /= problem_.rows;
    return minimizer_.take_losses(losses) == Answer::stuck &&
           converge("no step decreases the objective");
  }

  bool converge(const char* why) {
    log::info("lbfgs: converged: {}; objective {:.9g}, norm of the gradient {:.3g}", why,
              minimizer_.value(), minimizer_.norm());
    return converged_ = true;
  }

  /// Whether the current parameters, after so many epochs, are good enough.
  bool judge(std::uint64_t epochs) {
    if (minimizer_.norm() <= tolerance_gradient_ * minimizer_.first_norm())
      return converge("the gradient is a small part of the first one");
    if (tolerance_loss_ > 0) {
      if (minimizer_.decrease() >= tolerance_loss_) return false;
      return converge("the objective hardly decreases any more");
    }
    const bool is_better = minimizer_.norm() < kLess * smallest_norm_ ||
                           minimizer_.value() < lowest_value_ - kNoise * std::abs(lowest_value_);
    if (!is_better) {
      // Slow minimizations have long stretches without a record.
      const std::uint64_t patience = std::clamp<std::uint64_t>(epochs / 2, 5, kPatience);
      if (static_cast<std::uint64_t>(++epochs_without_better_) < patience) return false;
      return converge("neither the objective nor the gradient becomes smaller any more");
    }
    epochs_without_better_ = 0;
    smallest_norm_ = std::min(smallest_norm_, minimizer_.norm());
    lowest_value_ = std::min(lowest_value_, minimizer_.value());
    return false;
  }

  Problem problem_;
  model::GradientModel& model_;
  Sums& sums_;
  double tolerance_gradient_;
  double tolerance_loss_;
  Minimizer minimizer_;
  BasicPass<Real> pass_;        ///< this worker's, in progress
  std::vector<Real> merged_;    ///< the mean gradient of all rows
  std::vector<float> rounded_;  ///< the parameters, where they are doubles
  std::vector<float> scales_;   ///< of the history
  std::uint64_t passes_ = 1;    ///< of this epoch, as far as is known
  model::Totals totals_;        ///< of all workers at the current parameters
  double smallest_norm_ = std::numeric_limits<double>::infinity();
  double lowest_value_ = std::numeric_limits<double>::infinity();
  int epochs_without_better_ = 0;
  bool converged_ = false;
  bool is_within_pass_ = false;
};

constexpr const char* kPrecision = "lbfgs_precision";
constexpr const char* kFloat = "float32";
constexpr const char* kDouble = "float64";

std::map<std::string, std::string> defaults(const Options& given) {
  std::map<std::string, std::string> values{{"epochs", "200"},
                                            {"batch_size", "16384"},
                                            {"l2", "auto"},
                                            {"loss", "squared_hinge"},
                                            {"scale", "auto"}};
  add_share_of_validation(given, values);
  return values;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "lbfgs",
       .help = "L-BFGS over all rows, for linear models; OWL-QN with an L1 penalty",
       .options =
           {l2_option(),
            l1_option(),
            {.name = "lbfgs_memory",
             .default_value = std::int64_t{10},
             .help = "steps that L-BFGS remembers",
             .minimum = 1,
             .maximum = 1000},
            {.name = "lbfgs_tolerance_gradient",
             .default_value = 3e-6,
             .help = "L-BFGS ends when the gradient's norm is this part of the first one's",
             .minimum = 0},
            {.name = "lbfgs_tolerance_loss",
             .default_value = 1e-7,
             .help = "L-BFGS ends when the objective decreases by less than this part an "
                     "epoch, over five epochs; 0: when neither it nor the gradient becomes "
                     "smaller over 5 to 30",
             .minimum = 0},
            {.name = kPrecision,
             .default_value = std::string(kFloat),
             .help =
                 "number type in which L-BFGS computes and merges; float64 finds the parameters "
                 "of flat objectives to the last digits of float32 (linear models only; up to "
                 "twice the time of a pass)",
             .choices = {kFloat, kDouble}}},
       .metrics = {{.name = "objective", .help = "mean loss and penalties", .label = "objective"},
                   {.name = "gradient_norm", .help = "norm of the objective's steepest direction"}},
       .memory_option = "lbfgs_memory",
       .defaults = defaults,
       .merges_increments = false,
       .needs_all_workers = true,
       .whole_passes = true,
       .converges = true,
       .make = [](Problem problem, const Options& options) -> std::unique_ptr<Optimizer> {
         if (options.text(kPrecision) == kDouble)
           return std::make_unique<Lbfgs<double>>(std::move(problem), options);
         return std::make_unique<Lbfgs<float>>(std::move(problem), options);
       }});
}

}  // namespace lambdaml::optim::lbfgs
