#include <algorithm>

#include "lambdaml/optim/admm/local_solver.h"
#include "lambdaml/optim/schedule.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim::admm {
namespace {

class GradientSolver final : public LocalSolver {
 public:
  GradientSolver(const Problem& problem, const Options& options)
      : model_(gradient_model(problem.model, "admm")),
        passes_(static_cast<std::uint64_t>(options.integer("epochs"))),
        rate_(options, static_cast<double>(problem.epochs), passes_, problem.rows_per_round.size()),
        momentum_(static_cast<float>(options.real("momentum"))) {}

  std::uint64_t passes() const override { return passes_; }
  std::uint64_t vector_bytes() const override {
    return state_bytes() + model_.parameter_count() * sizeof(float);
  }
  std::uint64_t state_bytes() const override {
    return (momentum_ == 0 ? 2 : 3) * model_.parameter_count() * sizeof(float);
  }

  void begin(std::span<const float> x) override {
    x_.assign(x.begin(), x.end());
    mean_ = x_;
    moved_.assign(momentum_ == 0 ? 0 : x_.size(), 0.0F);
    scratch_.assign(x_.size(), 0.0F);
  }

  void start(const Task&) override { std::ranges::fill(moved_, 0.0F); }

  bool step(const model::Batch& batch, const Position& position, const Task& task) override {
    if (position.round == 0) totals_ = {};
    if (batch.rows() > 0) {
      descend(batch, position, task);
      // Batches with rows come first in a pass.
      const float weight = 1.0F / static_cast<float>(position.round + 1);
      for (std::size_t i = 0; i < x_.size(); ++i) mean_[i] += weight * (x_[i] - mean_[i]);
    }
    if (!position.last_of_pass || position.pass + 1 < passes_) return false;
    if (task.share == 0) std::ranges::copy(task.target, mean_.begin());
    return true;
  }

  std::span<const float> x() const override { return mean_; }
  const model::Totals& totals() const override { return totals_; }

  void add_to(State& state) override {
    state["x"] = x_;
    state["mean"] = mean_;
    if (!moved_.empty()) state["moved"] = moved_;
  }
  void append_scalars(std::vector<double>& scalars) const override { append(scalars, totals_); }
  std::span<const double> take_scalars(std::span<const double> scalars) override {
    if (scalars.size() < 3) check_scalars(scalars, 3);
    totals_ = take_totals(scalars, 0);
    return scalars.subspan(3);
  }

 private:
  void descend(const model::Batch& batch, const Position& position, const Task& task) {
    std::ranges::fill(scratch_, 0.0F);
    totals_ += model_.accumulate(batch, x_, scratch_);
    const double lr = rate_.at(position);
    const auto pull = static_cast<float>(lr * task.rho);
    const auto scale = static_cast<float>(lr * task.share / static_cast<double>(batch.rows()));
    const auto shrink = static_cast<float>(1.0 / (1.0 + lr * task.rho));
    for (std::size_t i = 0; i < x_.size(); ++i) {
      const float carried = moved_.empty() ? 0.0F : momentum_ * moved_[i];
      const float next = (x_[i] - scale * scratch_[i] + carried + pull * task.target[i]) * shrink;
      if (!moved_.empty()) moved_[i] = next - x_[i];
      x_[i] = next;
    }
  }

  model::GradientModel& model_;
  std::uint64_t passes_;
  LearningRate rate_;
  float momentum_;
  std::vector<float> x_;
  std::vector<float> mean_;   ///< of x over the steps of this pass
  std::vector<float> moved_;  ///< the last step of x; empty without momentum
  std::vector<float> scratch_;
  model::Totals totals_;  ///< of this pass
};

}  // namespace

std::unique_ptr<LocalSolver> make_gradient_solver(const Problem& problem, const Options& options) {
  return std::make_unique<GradientSolver>(problem, options);
}

}  // namespace lambdaml::optim::admm
