#include "lambdaml/optim/descent.h"

#include <algorithm>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/optim/support.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::optim {

std::vector<Option> descent_options() {
  std::vector<Option> options = learning_rate_options();
  add_options(options, {{.name = "momentum",
                         .default_value = 0.0,
                         .help = "momentum of gradient steps",
                         .minimum = 0,
                         .maximum = 0.9999},
                        l2_option()});
  return options;
}

Descent::Descent(model::GradientModel& model, const Options& options, LearningRate rate,
                 double rows)
    : model_(model),
      rate_(rate),
      momentum_(static_cast<float>(options.real("momentum"))),
      l2_(l2_weight(options, rows)),
      penalized_(model.penalized()),
      learned_(model.learned()),
      velocity_(momentum_ == 0 ? 0 : learned_) {}

model::Totals Descent::step(const model::Batch& batch, const Position& position,
                            std::span<const float> parameters, double denominator,
                            std::span<float> update) {
  std::fill(update.begin(), update.end(), 0.0F);
  model::Totals totals;
  if (batch.rows() > 0) {
    totals = model_.accumulate(batch, parameters, update);
    if (l2_ != 0)
      for (const auto& [begin, end] : penalized_)
        tensor::axpy(end - begin, static_cast<float>(l2_ * totals.rows), parameters.data() + begin,
                     update.data() + begin);
  }
  const float mean = denominator > 0 ? static_cast<float>(1.0 / denominator) : 0.0F;
  const auto lr = static_cast<float>(rate_.at(position));
  if (velocity_.empty()) {
    for (float& value : update.first(learned_)) value *= -lr * mean;
  } else {
    for (std::size_t i = 0; i < learned_; ++i) {
      velocity_[i] = momentum_ * velocity_[i] + mean * update[i];
      update[i] = -lr * velocity_[i];
    }
  }
  for (float& value : update.subspan(learned_)) value *= mean;
  return totals;
}

void Descent::add_to(State& state) {
  if (!velocity_.empty()) state["velocity"] = velocity_;
}

}  // namespace lambdaml::optim
