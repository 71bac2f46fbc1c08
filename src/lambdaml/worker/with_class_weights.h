#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/worker/wrapped.h"

namespace lambdaml::worker {

/// An optimizer of a job with `class_weight`: the weights belong to its state, because those of
/// `balanced` follow from the rows of all workers, which one that continues cannot ask.
class WithClassWeights final : public Wrapped {
 public:
  WithClassWeights(std::unique_ptr<optim::Optimizer> inner, std::size_t classes)
      : Wrapped(std::move(inner)), weights_(classes, 1.0F) {}

  std::span<float> weights() { return weights_; }

  optim::State state() override {
    optim::State state = Wrapped::state();
    state["class_weights"] = weights_;
    return state;
  }

 private:
  std::vector<float> weights_;
};

}  // namespace lambdaml::worker
