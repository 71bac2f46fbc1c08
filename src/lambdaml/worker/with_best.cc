#include "lambdaml/worker/with_best.h"

#include <cmath>

#include "lambdaml/optim/support.h"

namespace lambdaml::worker {
namespace {

/// After those of the optimizer itself.
constexpr std::size_t kScalars = 2;

}  // namespace

void WithBest::end_epoch(std::uint64_t epoch, double value) {
  // Not better: NaN, too. The first epoch is the best one, whatever its value.
  if (best_epoch_ > 0 && !(value < best_value_ || std::isnan(best_value_))) return;
  best_value_ = value;
  best_epoch_ = epoch;
  const std::span<const float> now = parameters();
  best_.assign(now.begin(), now.end());
}

void WithBest::begin(std::span<const float> initial) {
  Wrapped::begin(initial);
  best_.assign(parameters().size(), 0.0F);
}

optim::State WithBest::state() {
  optim::State state = Wrapped::state();
  state["best.parameters"] = best_;
  return state;
}

std::vector<double> WithBest::scalars() const {
  std::vector<double> out = Wrapped::scalars();
  out.insert(out.end(), {best_value_, static_cast<double>(best_epoch_)});
  return out;
}

void WithBest::set_scalars(std::span<const double> scalars) {
  if (scalars.size() < kScalars) optim::check_scalars(scalars, kScalars);
  const std::size_t own = scalars.size() - kScalars;
  Wrapped::set_scalars(scalars.first(own));
  best_value_ = scalars[own];
  best_epoch_ = static_cast<std::uint64_t>(scalars[own + 1]);
}

}  // namespace lambdaml::worker
