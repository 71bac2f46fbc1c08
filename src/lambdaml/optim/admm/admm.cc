#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/optim/admm/acceleration.h"
#include "lambdaml/optim/admm/local_solver.h"
#include "lambdaml/optim/descent.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim::admm {
namespace {

constexpr double kFirstRho = 10;
constexpr double kApart = 5;
constexpr double kFactor = 2;

double squared_norm(std::span<const float> v) { return tensor::dot(v.size(), v.data(), v.data()); }

/// Scaled consensus ADMM (Boyd, Parikh, Chu, Peleato, Eckstein 2011: "Distributed optimization and
/// statistical learning via ADMM", §7.1, with the regularizer of §7.1.1). P workers minimise
///   Σ_i f_i(x_i) + λ ‖z‖₁ + P · l2/2 ‖z‖²   subject to x_i = z,
/// with f_i = (P/N) · (the losses of worker i's rows), so that Σ_i f_i(z) = P · mean loss: for
/// λ = 0 the minimum is that of the other optimizers, for λ > 0 λ/P is the weight of ‖w‖₁ beside
/// the mean loss. Biases are not penalized. One epoch:
///   x_i ← argmin f_i(x) + ρ/2 ‖x − z + u_i‖², approached by a LocalSolver
///   v   ← mean of x_i + u_i over the workers: the merge
///   z   ← S(v, λ/(Pρ)) · ρ/(ρ + l2), S the soft threshold; where nothing is penalized, v
///   u_i ← u_i + x_i − z.
/// Since then u_i = (x_i + u_i) − z, the contribution c_i = x_i + u_i is kept and not u_i.
///
/// Residuals (§7.1, criteria of §3.3.1): r² = Σ ‖x_i − z‖², s² = P ρ² ‖z − z_before‖². Ends
/// when
///   r ≤ √(Pn) ε_abs + ε_rel max(√Σ‖x_i‖², √P ‖z‖)  and  s ≤ √(Pn) ε_abs + ε_rel ρ √Σ‖u_i‖².
/// The totals of an epoch are the solver's.
///
/// With rho `auto`, ρ is doubled where the relative r is more than 5 times the relative s, and
/// halved where it is less than a fifth (§3.4.1; relative to the sizes above, without which the
/// problem's scale decides: Wohlberg 2017, "ADMM penalty parameter selection by residual
/// balancing"), and u_i rescaled, so that ρ u_i stays. It begins with 10 l2, or without a penalty
/// with L/1000, where L is the smoothness of the mean loss: of fixed ones, 3 to 20 l2 needed the
/// fewest epochs on higgs, rcv1 and digits with l2 auto.
///
/// The map from all c_i to the next ones is the Douglas-Rachford operator, whose fixed point ADMM
/// approaches slowly where the local curvatures differ much from ρ: of the nine data sets of
/// docs/reference/optimizers.md, seven had not converged after 30 epochs. With `admm_memory`, the
/// next c_i are extrapolated from the newest epochs (Acceleration), which takes no further merge:
/// scalar products travel with the residuals. Residuals and the end are judged by the epoch without
/// it, which is kept as it is where that epoch has converged; a job that ends by its number of
/// epochs has the extrapolated state, so that more epochs go on from it as if it had been begun
/// with them.
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
        solver_(options.text("admm_solver") == "lbfgs" ? make_lbfgs_solver(problem_, options)
                                                       : make_gradient_solver(problem_, options)),
        is_balanced_(!options.real_unless_word("rho")),
        rho_(options.real_unless_word("rho").value_or(1)),
        lambda_(options.real("lambda")),
        l2_(l2_weight(options, problem_.rows)),
        acceleration_(static_cast<std::size_t>(options.integer("admm_memory")),
                      model_.parameter_count()),
        tolerance_abs_(options.real("admm_tolerance_abs")),
        tolerance_rel_(options.real("admm_tolerance_rel")) {
    if (model_.learned() != model_.parameter_count())
      fail(Code::invalid_argument,
           "the optimizer admm needs a model without statistics such as batch normalization's; use "
           "grad_avg or model_avg");
    if (is_balanced_ && !problem_.bulk_synchronous)
      fail(
          Code::invalid_argument,
          "rho auto needs the residuals of all workers, and this sync mode does not wait for them: "
          "give --rho a number");
    if (acceleration_.is_on() && !problem_.bulk_synchronous)
      fail(
          Code::invalid_argument,
          "admm_memory needs the epochs of all workers, and this sync mode does not wait for them: "
          "leave it out");
  }

  std::uint64_t passes_per_epoch() const override { return solver_->passes(); }
  std::uint64_t vector_bytes() const override {
    const std::size_t vectors = acceleration_.is_on() ? 5 : 4;
    return vectors * model_.parameter_count() * sizeof(float) + solver_->vector_bytes() +
           acceleration_.bytes();
  }
  std::uint64_t state_bytes() const override {
    return 2 * model_.parameter_count() * sizeof(float) + solver_->state_bytes() +
           acceleration_.bytes();
  }

  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    if (!is_balanced_) return;
    const auto own = model_.smoothness(rows);
    if (!own) return;
    const auto n = static_cast<double>(rows.rows());
    std::array<double, 2> sums{n * own->of_all, n};
    communicator.merge({{}, sums}, comm::Meaning::state);
    const double smoothness = sums[0] / sums[1];
    if (smoothness > 0) rho_ = l2_ > 0 ? kFirstRho * l2_ : smoothness / 1000;
  }

  void begin(std::span<const float> parameters) override {
    z_.assign(parameters.begin(), parameters.end());
    contribution_ = z_;
    target_.clear();
    solver_->begin(z_);
    acceleration_.begin();
    scratch_.assign(z_.size(), 0.0F);
  }

  model::Totals step(const model::Batch& batch, const Position& position) override {
    if (target_.empty()) {  // of a new epoch, or of a state that was restored
      target_.resize(z_.size());
      for (std::size_t i = 0; i < z_.size(); ++i) target_[i] = 2 * z_[i] - contribution_[i];
    }
    if (position.pass == 0 && position.round == 0) solver_->start(task(position));
    if (!solver_->step(batch, position, task(position))) return {};
    const std::span<const float> x = solver_->x();
    std::vector<float>& change = scratch_;
    for (std::size_t i = 0; i < x.size(); ++i) {
      change[i] = x[i] - z_[i];
      contribution_[i] += change[i];
    }
    const std::span<const double> products = acceleration_.products(change);
    model::Totals totals = solver_->totals();
    const double moved = merge_models(totals, position);
    measure(moved, products);
    target_.clear();
    return totals;
  }

  /// Workers that did not wait for each other have seen different contributions. The final
  /// contributions of all workers give the common model, so they are merged once more when all have
  /// finished. Workers that waited get the same model again.
  void finish() override {
    model::Totals totals = solver_->totals();
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
    State state = {{"parameters", z_}, {"contribution", contribution_}};
    solver_->add_to(state);
    acceleration_.add_to(state);
    return state;
  }
  std::vector<double> scalars() const override {
    std::vector<double> out = {primal_, dual_, converged_ ? 1.0 : 0.0};
    if (is_balanced_) out.push_back(rho_);
    if (acceleration_.is_on()) acceleration_.append_scalars(out);
    solver_->append_scalars(out);
    return out;
  }
  void set_scalars(std::span<const double> scalars) override {
    const std::size_t steps = acceleration_.is_on() ? acceleration_.scalar_count() : 0;
    const std::size_t own = (is_balanced_ ? 4 : 3) + steps;
    if (scalars.size() < own) check_scalars(scalars, own);
    primal_ = scalars[0];
    dual_ = scalars[1];
    converged_ = scalars[2] != 0;
    if (is_balanced_) rho_ = scalars[3];
    if (steps > 0) acceleration_.set_scalars(scalars.subspan(own - steps, steps));
    check_scalars(solver_->take_scalars(scalars.subspan(own)), 0);
  }

 private:
  double workers() const { return static_cast<double>(problem_.communicator.workers()); }

  LocalSolver::Task task(const Position& position) const {
    return {.share = workers() * problem_.own_rows / problem_.rows,
            .rho = rho_,
            .epoch = position.epoch,
            .target = target_,
            .consensus = z_};
  }

  /// Merges the contributions to the next z; returns ‖z − z_before‖².
  double merge_models(model::Totals& totals, const Position& position) {
    scratch_ = contribution_;
    return move_to_mean(
        merge(problem_.communicator, scratch_, totals, comm::Meaning::state, position));
  }

  /// scratch_ is the sum of that many contributions: sets z to the minimum for their mean, and
  /// leaves that in mean_ where it is needed. Returns ‖z − z_before‖².
  double move_to_mean(std::size_t contributions) {
    const auto merged = static_cast<double>(contributions);
    const auto mean = static_cast<float>(1.0 / merged);
    for (float& value : scratch_) value *= mean;
    if (acceleration_.is_on()) mean_ = scratch_;
    return move_to_minimum(merged);
  }

  /// scratch_ is the mean of `merged` contributions.
  double move_to_minimum(double merged) {
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

  /// The residuals over all workers, by a second merge of a few numbers, to which `products` of the
  /// acceleration belong; then the next epoch's rho or the next state. They are sums of increments
  /// that include their number, so a pattern that does not wait returns those that it has.
  void measure(double change, std::span<const double> products) {
    const std::span<const float> x = solver_->x();
    std::vector<double> sums = {0, squared_norm(x), 0, 1};
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double apart = static_cast<double>(x[i]) - z_[i];
      const double dual = static_cast<double>(contribution_[i]) - z_[i];
      sums[0] += apart * apart;
      sums[2] += dual * dual;
    }
    sums.insert(sums.end(), products.begin(), products.end());
    problem_.communicator.merge({{}, sums}, comm::Meaning::increment);
    const double all = workers();
    const double to_all = all / sums[3];
    primal_ = std::sqrt(sums[0] * to_all);
    dual_ = rho_ * std::sqrt(all * change);
    const double floor = std::sqrt(all * static_cast<double>(x.size())) * tolerance_abs_;
    const double size = std::sqrt(std::max(sums[1] * to_all, all * squared_norm(z_)));
    const double dual_size = rho_ * std::sqrt(sums[2] * to_all);
    converged_ =
        primal_ <= floor + tolerance_rel_ * size && dual_ <= floor + tolerance_rel_ * dual_size;
    if (is_balanced_ && balance(primal_ / size, dual_ / dual_size)) return acceleration_.clear();
    if (!acceleration_.is_on() || converged_) return;
    acceleration_.extrapolate(std::span(sums).subspan(4), contribution_, mean_);
    scratch_ = mean_;
    move_to_minimum(all);
  }

  /// By relative residuals, which all workers know alike. Returns whether rho has changed.
  bool balance(double primal, double dual) {
    const double before = rho_;
    if (primal > kApart * dual)
      rho_ *= kFactor;
    else if (dual > kApart * primal)
      rho_ /= kFactor;
    if (rho_ == before) return false;
    const auto rescale = static_cast<float>(before / rho_);
    for (std::size_t i = 0; i < z_.size(); ++i)
      contribution_[i] = z_[i] + rescale * (contribution_[i] - z_[i]);
    return true;
  }

  Problem problem_;
  model::GradientModel& model_;
  std::unique_ptr<LocalSolver> solver_;
  bool is_balanced_;
  double rho_;
  double lambda_;
  double l2_;
  Acceleration acceleration_;
  double tolerance_abs_;
  double tolerance_rel_;
  std::vector<float> z_;
  std::vector<float> contribution_;  ///< c = x + u as last merged; u = c − z
  std::vector<float> target_;        ///< z − u of this epoch
  std::vector<float> scratch_;
  std::vector<float> mean_;  ///< of the contributions; for the acceleration
  double primal_ = 0;
  double dual_ = 0;
  bool converged_ = false;
};

/// New jobs solve by L-BFGS, unless something is given that only gradient steps have: then all is
/// as it was when there were no others.
std::map<std::string, std::string> defaults(const Options& given) {
  for (const char* name : {"lr", "lr_schedule", "momentum", "warmup_epochs", "batch_size"})
    if (given.is_set(name)) return {};
  std::map<std::string, std::string> values{{"admm_solver", "lbfgs"}, {"epochs", "20"},
                                            {"batch_size", "16384"},  {"l2", "auto"},
                                            {"admm_epochs", "30"},    {"loss", "squared_hinge"},
                                            {"rho", "auto"},          {"admm_tolerance_abs", "0"},
                                            {"scale", "auto"},        {"admm_memory", "4"}};
  // Gradient steps take any loss, and are too far from a solution to extrapolate from.
  if (given.is_set("admm_solver") && given.text("admm_solver") == "gradient")
    for (const char* name : {"loss", "admm_memory"}) values.erase(name);
  const comm::Plugin* pattern = comm::registry().find(given.text("sync_mode"));
  if (pattern != nullptr && !pattern->bulk_synchronous)
    for (const char* name : {"rho", "admm_memory"}) values.erase(name);
  add_share_of_validation(given, values);
  return values;
}

}  // namespace

void register_plugin(Registry& registry) {
  std::vector<Option> options = descent_options();
  add_options(
      options,
      {{.name = "admm_epochs",
        .default_value = std::int64_t{10},
        .help = "outer epochs of ADMM; `epochs` are then the inner ones",
        .minimum = 1,
        .aliases = {"n_admm_epochs"}},
       {.name = "admm_solver",
        .default_value = std::string("gradient"),
        .help = "how workers solve their own problems: by passes of gradient steps, or by "
                "L-BFGS, which new jobs have unless they set a learning rate, momentum or "
                "batch size",
        .choices = {"gradient", "lbfgs"}},
       {.name = "rho",
        .default_value = 1.0,
        .help = "penalty of ADMM on models that differ from the common one; auto, which new "
                "jobs have, adapts it to the residuals",
        .above = 0,
        .words = {"auto"}},
       l1_option(),
       {.name = "admm_memory",
        .default_value = std::int64_t{0},
        .help =
            "outer epochs from which ADMM extrapolates the next one (Anderson acceleration); 0: "
            "none; new jobs that solve by L-BFGS have 4",
        .minimum = 0,
        .maximum = 20},
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
                .memory_option = "admm_memory",
                .defaults = defaults,
                .merges_increments = false,
                .converges = true,
                .make = [](Problem problem, const Options& options) {
                  return std::make_unique<Admm>(std::move(problem), options);
                }});
}

}  // namespace lambdaml::optim::admm
