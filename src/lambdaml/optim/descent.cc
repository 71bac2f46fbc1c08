#include "lambdaml/optim/descent.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim {
namespace {

/// Where nothing is known of the model: PyTorch's for Adam, and what training from scratch often
/// takes for gradient steps.
constexpr double kUsualRate = 0.1;
constexpr double kUsualRateOfAdam = 0.001;
/// A linear model's weights are of the order of 1 on scaled columns.
constexpr double kRateOfAdamForLinear = 0.03;

}  // namespace

std::vector<Option> descent_options() {
  std::vector<Option> options = {{.name = "optimizer",
                                  .default_value = std::string("sgd"),
                                  .help = "how a step follows from the gradient",
                                  .choices = {"sgd", "adam", "adamw"}}};
  add_options(options, learning_rate_options());
  add_options(options, {{.name = "momentum",
                         .default_value = 0.0,
                         .help = "momentum of gradient steps",
                         .minimum = 0,
                         .maximum = 0.9999,
                         .needs = {{"optimizer", {"sgd"}}}}});
  add_options(options, adam_options());
  add_options(options, {l2_option()});
  return options;
}

std::map<std::string, std::string> descent_defaults(const Options& given) {
  if (given.is_set("lr")) return {};
  return {{"lr", "auto"}, {"scale", "auto"}};
}

Descent::Descent(model::GradientModel& model, const Options& options, LearningRate rate,
                 double rows, bool waits)
    : model_(model),
      rate_(rate),
      momentum_(static_cast<float>(options.real("momentum"))),
      l2_(l2_weight(options, rows)),
      rows_(rows),
      penalized_(model.penalized()),
      learned_(model.learned()),
      waits_(waits) {
  const std::string& optimizer = options.text("optimizer");
  decays_ = optimizer == "adamw";
  if (optimizer != "sgd")
    adam_.emplace(options, learned_);
  else if (momentum_ != 0)
    velocity_.resize(learned_);
}

void Descent::choose_rate(const model::Batch& rows, double batch_rows,
                          comm::Communicator& communicator) {
  if (!rate_.is_automatic()) return;
  const std::optional<model::GradientModel::Smoothness> own = model_.smoothness(rows);
  if (!own || adam_) {
    rate_.set(!adam_ ? kUsualRate : own ? kRateOfAdamForLinear : kUsualRateOfAdam);
    return;
  }
  const auto n = static_cast<double>(rows.rows());
  std::array<double, 3> sums{n * own->of_all, n * own->of_row, n};
  communicator.merge({{}, sums}, comm::Meaning::state);
  const double of_all = sums[0] / sums[2] + l2_, of_row = sums[1] / sums[2] + l2_;
  const double batch = std::clamp(batch_rows, 1.0, rows_);
  const double of_batch = rows_ <= 1 ? of_row
                                     : (rows_ * (batch - 1) * of_all + (rows_ - batch) * of_row) /
                                           (batch * (rows_ - 1));
  rate_.set(of_batch > 0 ? 1 / of_batch : kUsualRate);
  log::info("learning rate: {:.4g}", rate_.lr());
}

model::Totals Descent::share(const model::Batch& batch, const Position& position,
                             std::span<const float> parameters, double denominator,
                             std::span<float> share) {
  std::fill(share.begin(), share.end(), 0.0F);
  model::Totals totals;
  if (batch.rows() > 0) {
    totals = model_.accumulate(batch, parameters, share);
    if (penalizes_in_gradient())
      for (const auto& [begin, end] : penalized_)
        tensor::axpy(end - begin, static_cast<float>(l2_ * totals.rows), parameters.data() + begin,
                     share.data() + begin);
  }
  const float mean = denominator > 0 ? static_cast<float>(1.0 / denominator) : 0.0F;
  for (float& value : share.subspan(learned_)) value *= mean;
  if (adam_ && waits_) {
    for (float& value : share.first(learned_)) value *= mean;
    return totals;
  }
  if (adam_) {
    const auto own = static_cast<float>(1.0 / std::max(totals.rows, 1.0));
    for (float& value : share.first(learned_)) value *= own;
    scratch_.assign(parameters.begin(), parameters.end());
    step_of_adam(share, position, scratch_);
    const auto weight = static_cast<float>(totals.rows) * mean;
    for (std::size_t i = 0; i < learned_; ++i) share[i] = weight * (scratch_[i] - parameters[i]);
    return totals;
  }
  const auto lr = static_cast<float>(rate_.at(position));
  if (velocity_.empty()) {
    for (float& value : share.first(learned_)) value *= -lr * mean;
  } else {
    for (std::size_t i = 0; i < learned_; ++i) {
      velocity_[i] = momentum_ * velocity_[i] + mean * share[i];
      share[i] = -lr * velocity_[i];
    }
  }
  return totals;
}

void Descent::apply(std::span<const float> shares, const Position& position,
                    std::span<float> parameters) {
  if (!adam_ || !waits_) return tensor::axpy(shares.size(), 1.0F, shares.data(), parameters.data());
  step_of_adam(shares, position, parameters);
  for (std::size_t i = learned_; i < shares.size(); ++i) parameters[i] += shares[i];
}

void Descent::step_of_adam(std::span<const float> gradient, const Position& position,
                           std::span<float> parameters) {
  const double lr = rate_.at(position);
  if (decays_ && l2_ != 0)
    for (const auto& [begin, end] : penalized_)
      for (std::size_t i = begin; i < end; ++i) parameters[i] *= static_cast<float>(1 - lr * l2_);
  adam_->step(gradient.first(learned_), lr, parameters.first(learned_));
}

void Descent::add_to(State& state) {
  if (!velocity_.empty()) state["velocity"] = velocity_;
  if (adam_) adam_->add_to(state);
}

std::vector<double> Descent::scalars() const {
  std::vector<double> out;
  if (rate_.is_automatic()) out.push_back(rate_.lr());
  if (adam_) out.push_back(adam_->steps());
  return out;
}

std::span<const double> Descent::take_scalars(std::span<const double> scalars) {
  const std::size_t own = (rate_.is_automatic() ? 1U : 0U) + (adam_ ? 1U : 0U);
  if (scalars.size() < own) check_scalars(scalars, own);
  if (rate_.is_automatic()) rate_.set(scalars.front());
  if (adam_) adam_->set_steps(scalars[own - 1]);
  return scalars.subspan(own);
}

}  // namespace lambdaml::optim
