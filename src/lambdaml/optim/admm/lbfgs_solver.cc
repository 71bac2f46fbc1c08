#include <algorithm>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/admm/local_solver.h"
#include "lambdaml/optim/minimizer.h"
#include "lambdaml/optim/pass.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::admm {
namespace {

constexpr std::size_t kMemory = 10;
/// The part of the first gradient's norm that is left in the first outer epoch, its factor from
/// one to the next, and the smallest: floats do not tell less.
constexpr double kFirstTolerance = 1e-2;
constexpr double kTightening = 0.3;
constexpr double kLastTolerance = 1e-6;

class LbfgsSolver final : public LocalSolver {
 public:
  LbfgsSolver(const Problem& problem, const Options& options)
      : model_(gradient_model(problem.model, "admm")),
        most_passes_(static_cast<std::uint64_t>(options.integer("epochs"))),
        minimizer_(Objective(0, 0, model_.penalized()), kMemory, model_.parameter_count()),
        pass_(model_.parameter_count()),
        own_rows_(problem.own_rows) {}

  std::uint64_t passes() const override { return passes_; }
  std::uint64_t vector_bytes() const override {
    // x, the gradient, and the objective's anchor.
    return minimizer_.bytes() + pass_.bytes() + 3 * model_.parameter_count() * sizeof(float);
  }
  std::uint64_t state_bytes() const override {
    return minimizer_.state_bytes() + pass_.state_bytes() +
           model_.parameter_count() * sizeof(float);
  }

  void begin(std::span<const float> x) override {
    x_.assign(x.begin(), x.end());
    gradient_.assign(x.size(), 0.0F);
    minimizer_.begin(x_);
  }

  void start(const Task& task) override {
    if (rho_ != 0 && task.rho != rho_) minimizer_.history().add_curvature(task.rho - rho_);
    rho_ = task.rho;
    passes_ = 1;
    minimizer_.begin(task.consensus);
    totals_ = {};
  }

  bool step(const model::Batch& batch, const Position& position, const Task& task) override {
    if (position.round == 0) {
      is_within_pass_ = true;
      pass_.begin();
    }
    pass_.add(model_, batch, minimizer_);
    if (!position.last_of_pass) return false;
    is_within_pass_ = false;
    minimizer_.objective().set_anchor(task.rho, task.target);
    if (task.share == 0) {
      x_.assign(task.target.begin(), task.target.end());
      return true;
    }
    const bool solved = answer(position, task);
    if (!solved && passes_ < most_passes_) {
      ++passes_;
      return false;
    }
    const std::span<const float> best = minimizer_.parameters();
    x_.assign(best.begin(), best.end());
    return true;
  }

  std::span<const float> x() const override { return x_; }
  const model::Totals& totals() const override { return totals_; }

  void add_to(State& state) override {
    for (const auto& [name, values] : minimizer_.state()) state["local." + name] = values;
    state["x"] = x_;
  }
  void append_scalars(std::vector<double>& scalars) const override {
    append(scalars, totals_);
    scalars.insert(scalars.end(),
                   {static_cast<double>(passes_), rho_, first_norm_, is_within_pass_ ? 1.0 : 0.0});
    const std::vector<double> rest = minimizer_.scalars();
    scalars.insert(scalars.end(), rest.begin(), rest.end());
    if (is_within_pass_) pass_.append_scalars(scalars);
  }
  std::span<const double> take_scalars(std::span<const double> scalars) override {
    if (scalars.size() < kScalars) check_scalars(scalars, kScalars);
    totals_ = take_totals(scalars, 0);
    if (!(scalars[3] >= 1 && scalars[3] < 1e6))
      fail(Code::data_corrupt, "the state of admm: its number of passes is not possible");
    passes_ = static_cast<std::uint64_t>(scalars[3]);
    rho_ = scalars[4];
    first_norm_ = scalars[5];
    is_within_pass_ = scalars[6] != 0;
    minimizer_.set_scalars(scalars.subspan(7, Minimizer::kScalars));
    scalars = scalars.subspan(kScalars);
    if (!is_within_pass_) return scalars;
    if (scalars.size() < pass_.scalar_count()) check_scalars(scalars, pass_.scalar_count());
    pass_.set_scalars(scalars.first(pass_.scalar_count()));
    return scalars.subspan(pass_.scalar_count());
  }

 private:
  static constexpr std::size_t kScalars = 7 + Minimizer::kScalars;

  /// Returns whether the parameters are good enough for this outer epoch.
  bool answer(const Position& position, const Task& task) {
    if (minimizer_.asks_for_losses()) {
      auto& losses = pass_.losses();
      for (double& loss : losses) loss *= task.share / own_rows_;
      return minimizer_.take_losses(losses) == Minimizer::Answer::stuck;
    }
    const double scale = task.share / own_rows_;
    if (totals_.rows == 0) totals_ = pass_.totals();
    std::ranges::transform(pass_.gradient(), gradient_.begin(),
                           [&](double sum) { return static_cast<float>(scale * sum); });
    const Minimizer::Answer answer =
        minimizer_.take_gradient(scale * pass_.totals().loss, gradient_);
    if (answer == Minimizer::Answer::not_finite) fail_diverged(position);
    if (answer == Minimizer::Answer::stuck) return true;
    if (first_norm_ == 0) first_norm_ = minimizer_.first_norm();
    if (minimizer_.norm() <= tolerance(task.epoch) * first_norm_) return true;
    if (answer == Minimizer::Answer::moved) minimizer_.propose();
    return false;
  }

  static double tolerance(std::uint64_t epoch) {
    return std::max(kFirstTolerance * std::pow(kTightening, static_cast<double>(epoch)),
                    kLastTolerance);
  }

  model::GradientModel& model_;
  std::uint64_t most_passes_;
  Minimizer minimizer_;
  Pass pass_;
  std::vector<float> gradient_;
  double own_rows_;
  std::vector<float> x_;
  std::uint64_t passes_ = 1;
  double rho_ = 0;         ///< of the newest problem
  double first_norm_ = 0;  ///< of the first gradient of the first problem
  bool is_within_pass_ = false;
  model::Totals totals_;
};

}  // namespace

std::unique_ptr<LocalSolver> make_lbfgs_solver(const Problem& problem, const Options& options) {
  return std::make_unique<LbfgsSolver>(problem, options);
}

}  // namespace lambdaml::optim::admm
