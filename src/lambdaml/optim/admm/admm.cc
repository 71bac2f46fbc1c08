#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/optim/descent.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/schedule.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim::admm {
namespace {

double squared_norm(std::span<const float> v) { return tensor::dot(v.size(), v.data(), v.data()); }

/// Scaled consensus ADMM (Boyd, Parikh, Chu, Peleato, Eckstein 2011: "Distributed optimization and
/// statistical learning via ADMM", §7.1, with the regularizer of §7.1.1). P workers minimise
///   Σ_i f_i(x_i) + λ ‖z‖₁ + P · l2/2 ‖z‖²   subject to x_i = z,
/// with f_i = (P/N) · (the losses of worker i's rows), so that Σ_i f_i(z) = P · mean loss: for
/// λ = 0 the minimum is that of the other optimizers, for λ > 0 λ/P is the weight of ‖w‖₁ beside
/// the mean loss. Biases are not penalized. One epoch:
///   x_i ← argmin f_i(x) + ρ/2 ‖x − z + u_i‖², approached from the last x_i by `epochs` passes of
///         mini-batch descent that takes the gradient of f_i and then the exact proximal step of
///         the quadratic, so that no ρ is too large for it; momentum is that of iPiano (Ochs,
///         Chen, Brox, Pock 2014): x_next = prox(x − lr ∇f + momentum (x − x_previous)).
///         The mean of the last pass's iterates is taken for x_i: the last one leans to the last
///         batches, and ADMM would come to rest there
///   v   ← mean of x_i + u_i over the workers: the merge
///   z   ← S(v, λ/(Pρ)) · ρ/(ρ + l2), S the soft threshold; where nothing is penalized, v
///   u_i ← u_i + x_i − z.
/// Since then u_i = (x_i + u_i) − z, the contribution c_i = x_i + u_i is kept and not u_i.
///
/// Residuals (§7.1, criteria of §3.3.1): r² = Σ ‖x_i − z‖², s² = P ρ² ‖z − z_before‖². Ends
/// when
///   r ≤ √(Pn) ε_abs + ε_rel max(√Σ‖x_i‖², √P ‖z‖)  and  s ≤ √(Pn) ε_abs + ε_rel ρ √Σ‖u_i‖².
/// The totals of an epoch are those of its last pass.
///
/// Without waiting (`async`) z is the mean of the contributions that are there, and u_i takes up
/// what those of slower workers lack; in the end it may still hold some of that. Asynchronous ADMM
/// converges where the delay is bounded and ρ large enough for it (Zhang, Kwok 2014; Chang, Hong,
/// Liao, Wang 2016); here nothing bounds the delay, so workers of very different speeds may end
/// with a model that is worse than that of waiting, by a tenth of the loss in bad orders.
class Admm final : public Optimizer {
 public:
  Admm(Problem problem, const Options& options)
      : problem_(std::move(problem)),
        model_(gradient_model(problem_.model, "admm")),
        passes_(static_cast<std::uint64_t>(options.integer("epochs"))),
        rate_(options, static_cast<double>(problem_.epochs), passes_,
              problem_.rows_per_round.size()),
        momentum_(static_cast<float>(options.real("momentum"))),
        rho_(options.real("rho")),
        lambda_(options.real("lambda")),
        l2_(l2_weight(options, problem_.rows)),
        tolerance_abs_(options.real("admm_tolerance_abs")),
        tolerance_rel_(options.real("admm_tolerance_rel")) {
    if (model_.learned() != model_.parameter_count())
      fail(Code::invalid_argument,
           "the optimizer admm needs a model without statistics such as batch normalization's; use "
           "grad_avg or model_avg");
  }

  std::uint64_t passes_per_epoch() const override { return passes_; }

  void begin(std::span<const float> parameters) override {
    z_.assign(parameters.begin(), parameters.end());
    x_ = z_;
    mean_ = z_;
    contribution_ = z_;
    moved_.assign(momentum_ == 0 ? 0 : z_.size(), 0.0F);
    scratch_.assign(z_.size(), 0.0F);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    if (position.round == 0) {
      totals_ = {};
      if (position.pass == 0) std::fill(moved_.begin(), moved_.end(), 0.0F);
    }
    if (batch.rows() > 0) {
      descend(batch, position);
      // Batches with rows come first in a pass.
      const float weight = 1.0F / static_cast<float>(position.round + 1);
      for (std::size_t i = 0; i < x_.size(); ++i) mean_[i] += weight * (x_[i] - mean_[i]);
    }
    if (!position.last_of_epoch) return {};

    // Without rows f_i is 0 and the minimum is z − u_i.
    if (problem_.own_rows == 0)
      for (std::size_t i = 0; i < x_.size(); ++i) mean_[i] = 2 * z_[i] - contribution_[i];
    for (std::size_t i = 0; i < x_.size(); ++i) contribution_[i] += mean_[i] - z_[i];
    model::Totals totals = totals_;
    const double change = merge_models(totals, position);
    measure(change);
    return totals;
  }

  /// Workers that did not wait for each other have seen different contributions. The final
  /// contributions of all workers give the common model, so they are merged once more when all have
  /// finished. Workers that waited get the same model again.
  void finish() override {
    model::Totals totals = totals_;
    scratch_ = contribution_;
    const Position end{.epoch = problem_.epochs};
    move_to_mean(finish_states(problem_.communicator, scratch_, totals, end));
  }

  std::span<const float> parameters() const override { return z_; }
  bool converged() const override { return converged_; }
  std::map<std::string, double> metrics() const override {
    return {{"primal_residual", primal_}, {"dual_residual", dual_}};
  }

  State state() override {
    State state = {{"parameters", z_}, {"x", x_}, {"mean", mean_}, {"contribution", contribution_}};
    if (!moved_.empty()) state["moved"] = moved_;
    return state;
  }
  std::vector<double> scalars() const override {
    std::vector<double> out = {primal_, dual_, converged_ ? 1.0 : 0.0};
    append(out, totals_);
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    check_scalars(scalars, 6);
    primal_ = scalars[0];
    dual_ = scalars[1];
    converged_ = scalars[2] != 0;
    totals_ = take_totals(scalars, 3);
  }

 private:
  double workers() const { return static_cast<double>(problem_.communicator.workers()); }

  void descend(const model::Batch& batch, const Position& position) {
    std::fill(scratch_.begin(), scratch_.end(), 0.0F);
    totals_ += model_.accumulate(batch, x_, scratch_);
    const double lr = rate_.at(position);
    const double share = workers() * problem_.own_rows / problem_.rows;
    const auto pull = static_cast<float>(lr * rho_);
    const auto scale = static_cast<float>(lr * share / static_cast<double>(batch.rows()));
    const auto shrink = static_cast<float>(1.0 / (1.0 + lr * rho_));
    for (std::size_t i = 0; i < x_.size(); ++i) {
      const float target = 2 * z_[i] - contribution_[i];  // z − u
      const float carried = moved_.empty() ? 0.0F : momentum_ * moved_[i];
      const float next = (x_[i] - scale * scratch_[i] + carried + pull * target) * shrink;
      if (!moved_.empty()) moved_[i] = next - x_[i];
      x_[i] = next;
    }
  }

  /// Merges the contributions to the next z; returns ‖z − z_before‖².
  double merge_models(model::Totals& totals, const Position& position) {
    scratch_ = contribution_;
    return move_to_mean(
        merge(problem_.communicator, scratch_, totals, comm::Meaning::state, position));
  }

  /// scratch_ is the sum of that many contributions: sets z to the minimum for their mean.
  double move_to_mean(std::size_t contributions) {
    const auto merged = static_cast<double>(contributions);
    const auto mean = static_cast<float>(1.0 / merged);
    for (float& value : scratch_) value *= mean;
    const auto threshold = static_cast<float>(lambda_ / (merged * rho_));
    const auto shrink = static_cast<float>(rho_ / (rho_ + l2_));
    for (const auto& [begin, end] : model_.penalized())
      for (std::size_t i = begin; i < end; ++i) {
        const float v = scratch_[i];
        scratch_[i] = (std::max(v - threshold, 0.0F) - std::max(-v - threshold, 0.0F)) * shrink;
      }
    double change = 0;
    for (std::size_t i = 0; i < z_.size(); ++i) {
      const double step = static_cast<double>(scratch_[i]) - z_[i];
      change += step * step;
    }
    std::swap(z_, scratch_);
    return change;
  }

  /// The residuals over all workers, by a second merge of four numbers. They are sums of increments
  /// that include their number, so a pattern that does not wait returns those that it has.
  void measure(double change) {
    std::array<double, 4> sums = {0, squared_norm(mean_), 0, 1};
    for (std::size_t i = 0; i < x_.size(); ++i) {
      const double apart = static_cast<double>(mean_[i]) - z_[i];
      const double dual = static_cast<double>(contribution_[i]) - z_[i];
      sums[0] += apart * apart;
      sums[2] += dual * dual;
    }
    problem_.communicator.merge({{}, sums}, comm::Meaning::increment);
    const double all = workers();
    const double to_all = all / sums[3];
    primal_ = std::sqrt(sums[0] * to_all);
    dual_ = rho_ * std::sqrt(all * change);
    const double floor = std::sqrt(all * static_cast<double>(x_.size())) * tolerance_abs_;
    const double size = std::sqrt(std::max(sums[1] * to_all, all * squared_norm(z_)));
    converged_ = primal_ <= floor + tolerance_rel_ * size &&
                 dual_ <= floor + tolerance_rel_ * rho_ * std::sqrt(sums[2] * to_all);
  }

  Problem problem_;
  model::GradientModel& model_;
  std::uint64_t passes_;
  LearningRate rate_;
  float momentum_;
  double rho_;
  double lambda_;
  double l2_;
  double tolerance_abs_;
  double tolerance_rel_;
  std::vector<float> z_;
  std::vector<float> x_;
  std::vector<float> mean_;          ///< of x over the steps of this pass
  std::vector<float> contribution_;  ///< c = x + u as last merged; u = c − z
  std::vector<float> moved_;         ///< the last step of x; empty without momentum
  std::vector<float> scratch_;
  model::Totals totals_;  ///< this worker's, of this pass
  double primal_ = 0;
  double dual_ = 0;
  bool converged_ = false;
};

}  // namespace

void register_plugin(Registry& registry) {
  std::vector<Option> options = descent_options();
  add_options(options,
              {{.name = "admm_epochs",
                .default_value = std::int64_t{10},
                .help = "outer epochs of ADMM; `epochs` are then the inner ones",
                .minimum = 1,
                .aliases = {"n_admm_epochs"}},
               {.name = "rho",
                .default_value = 1.0,
                .help = "penalty of ADMM on models that differ from the common one",
                .above = 0},
               l1_option(),
               {.name = "admm_tolerance_abs",
                .default_value = 1e-4,
                .help = "absolute part of the residuals at which ADMM ends",
                .minimum = 0},
               {.name = "admm_tolerance_rel",
                .default_value = 1e-3,
                .help = "part of the residuals at which ADMM ends that grows with the model",
                .minimum = 0}});
  registry.add({.name = "admm",
                .help = "consensus ADMM; local problems are merged once an outer epoch",
                .options = std::move(options),
                .metrics = {{.name = "primal_residual",
                             .help = "how far the workers' models are from the common one",
                             .label = "primal"},
                            {.name = "dual_residual",
                             .help = "how far the common model moved, weighed by rho",
                             .label = "dual"}},
                .epochs_option = "admm_epochs",
                .defaults = {{"l2", "auto"}},
                .merges_increments = false,
                .make = [](Problem problem, const Options& options) {
                  return std::make_unique<Admm>(std::move(problem), options);
                }});
}

}  // namespace lambdaml::optim::admm
