#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/worker/wrapped.h"

namespace lambdaml::worker {

/// An optimizer of a job with `patience`: the parameters of the best epoch so far belong to its
/// state, so that a worker that continues from a checkpoint still has them, and still knows since
/// when nothing improved. parameters() are those that training goes on with. Costs one more
/// parameter vector.
class WithBest final : public Wrapped {
 public:
  explicit WithBest(std::unique_ptr<optim::Optimizer> inner) : Wrapped(std::move(inner)) {}

  /// Keeps the parameters if `value`, the smaller the better, is the smallest so far. Epochs are
  /// counted from 1. All workers must tell the same values.
  void end_epoch(std::uint64_t epoch, double value);
  /// The first epoch with the smallest value; 0 before there is one.
  std::uint64_t best_epoch() const { return best_epoch_; }
  /// Its parameters.
  std::span<const float> best_parameters() const { return best_; }

  void begin(std::span<const float> parameters) override;
  optim::State state() override;
  std::vector<double> scalars() const override;
  void set_scalars(std::span<const double> scalars) override;

 private:
  std::vector<float> best_;
  double best_value_ = std::numeric_limits<double>::infinity();
  std::uint64_t best_epoch_ = 0;
};

}  // namespace lambdaml::worker
