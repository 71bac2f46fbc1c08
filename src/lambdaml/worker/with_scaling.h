#pragma once

#include <memory>

#include "lambdaml/data/scaling.h"
#include "lambdaml/worker/wrapped.h"

namespace lambdaml::worker {

/// An optimizer of a job whose columns are scaled: the scaling belongs to its state, so that a
/// worker that continues from a checkpoint scales its rows as before. parameters() are those for
/// scaled rows.
class WithScaling final : public Wrapped {
 public:
  WithScaling(std::unique_ptr<optim::Optimizer> inner, std::size_t cols);

  /// With factors of 1 until it is set. Spans of state() are into it.
  data::Scaling& scaling() { return scaling_; }
  /// Whether it changes any value.
  bool scales() const;

  optim::State state() override;

 private:
  data::Scaling scaling_;
};

}  // namespace lambdaml::worker
