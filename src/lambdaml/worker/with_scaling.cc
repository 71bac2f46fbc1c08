#include "lambdaml/worker/with_scaling.h"

#include <algorithm>
#include <utility>

namespace lambdaml::worker {

WithScaling::WithScaling(std::unique_ptr<optim::Optimizer> inner, std::size_t cols)
    : Wrapped(std::move(inner)),
      scaling_{std::vector<float>(cols, 0.0F), std::vector<float>(cols, 1.0F)} {}

bool WithScaling::scales() const {
  const auto is = [](float value) { return [value](float each) { return each == value; }; };
  return !std::ranges::all_of(scaling_.center, is(0.0F)) ||
         !std::ranges::all_of(scaling_.factor, is(1.0F));
}

optim::State WithScaling::state() {
  optim::State state = Wrapped::state();
  state["scaling.center"] = scaling_.center;
  state["scaling.factor"] = scaling_.factor;
  return state;
}

}  // namespace lambdaml::worker
