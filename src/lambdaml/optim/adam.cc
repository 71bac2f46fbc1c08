#include "lambdaml/optim/adam.h"

#include <cmath>

namespace lambdaml::optim {

std::vector<Option> adam_options() {
  const std::vector<Option::Need> needs = {{"optimizer", {"adam", "adamw"}}};
  return {{.name = "adam_beta1",
           .default_value = 0.9,
           .help = "how much of the first moment Adam keeps in a step",
           .minimum = 0,
           .maximum = 0.999999,
           .needs = needs},
          {.name = "adam_beta2",
           .default_value = 0.999,
           .help = "how much of the second moment Adam keeps in a step",
           .minimum = 0,
           .maximum = 0.999999,
           .needs = needs},
          {.name = "adam_epsilon",
           .default_value = 1e-8,
           .help = "added to the root of the second moment",
           .above = 0,
           .needs = needs}};
}

Adam::Adam(const Options& options, std::size_t parameters)
    : beta1_(options.real("adam_beta1")),
      beta2_(options.real("adam_beta2")),
      epsilon_(options.real("adam_epsilon")),
      first_(parameters),
      second_(parameters) {}

void Adam::step(std::span<const float> gradient, double lr, std::span<float> parameters) {
  steps_ += 1;
  const auto keep1 = static_cast<float>(beta1_), take1 = static_cast<float>(1 - beta1_);
  const auto keep2 = static_cast<float>(beta2_), take2 = static_cast<float>(1 - beta2_);
  const auto rate = static_cast<float>(lr / (1 - std::pow(beta1_, steps_)));
  const auto root = static_cast<float>(std::sqrt(1 - std::pow(beta2_, steps_)));
  const auto epsilon = static_cast<float>(epsilon_);
  for (std::size_t i = 0; i < first_.size(); ++i) {
    const float g = gradient[i];
    first_[i] = keep1 * first_[i] + take1 * g;
    second_[i] = keep2 * second_[i] + take2 * g * g;
    parameters[i] -= rate * first_[i] / (std::sqrt(second_[i]) / root + epsilon);
  }
}

void Adam::add_to(State& state) {
  state["first_moment"] = first_;
  state["second_moment"] = second_;
}

}  // namespace lambdaml::optim
