#include "lambdaml/optim/moving_average.h"

#include "lambdaml/base/error.h"
#include "lambdaml/optim/support.h"

namespace lambdaml::optim {

Option ema_option() {
  return {.name = "ema",
          .default_value = 0.0,
          .help =
              "the model is the exponential moving average of those after each merge, of which "
              "this much is kept; 0: it is the newest",
          .minimum = 0,
          .maximum = 0.999999};
}

MovingAverage::MovingAverage(const Options& options, bool waits) : keep_(options.real("ema")) {
  if (is_on() && !waits)
    fail(Code::invalid_argument,
         "ema: workers that do not wait for each other have other averages; leave --ema out, or "
         "use a sync mode that waits");
}

void MovingAverage::begin(std::span<const float> parameters) {
  if (is_on()) average_.assign(parameters.begin(), parameters.end());
}

void MovingAverage::add(std::span<const float> parameters) {
  if (!is_on()) return;
  const auto keep = has_steps_ ? static_cast<float>(keep_) : 0.0F;
  const auto take = has_steps_ ? static_cast<float>(1 - keep_) : 1.0F;
  for (std::size_t i = 0; i < average_.size(); ++i)
    average_[i] = keep * average_[i] + take * parameters[i];
  has_steps_ = true;
}

std::span<const float> MovingAverage::or_else(std::span<const float> parameters) const {
  return is_on() ? average_ : parameters;
}

void MovingAverage::add_to(State& state) {
  if (is_on()) state["average"] = average_;
}

void MovingAverage::append_scalars(std::vector<double>& scalars) const {
  if (is_on()) scalars.push_back(has_steps_ ? 1 : 0);
}

std::span<const double> MovingAverage::take_scalars(std::span<const double> scalars) {
  if (!is_on()) return scalars;
  if (scalars.empty()) check_scalars(scalars, 1);
  has_steps_ = scalars.front() != 0;
  return scalars.subspan(1);
}

}  // namespace lambdaml::optim
