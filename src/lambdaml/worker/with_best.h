#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/optim/optimizer.h"

namespace lambdaml::worker {

/// An optimizer of a job with `patience`: the parameters of the best epoch so far belong to its
/// state, so that a worker that continues from a checkpoint still has them, and still knows since
/// when nothing improved. parameters() are those that training goes on with. Costs one more
/// parameter vector.
class WithBest final : public optim::Optimizer {
 public:
  explicit WithBest(std::unique_ptr<optim::Optimizer> inner);

  /// Keeps the parameters if `value`, the smaller the better, is the smallest so far. Epochs are
  /// counted from 1. All workers must tell the same values.
  void end_epoch(std::uint64_t epoch, double value);
  /// The first epoch with the smallest value; 0 before there is one.
  std::uint64_t best_epoch() const { return best_epoch_; }
  /// Its parameters.
  std::span<const float> best_parameters() const { return best_; }

  std::uint64_t passes_per_epoch() const override { return inner_->passes_per_epoch(); }
  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    inner_->prepare(rows, communicator);
  }
  std::size_t starts() const override { return inner_->starts(); }
  void begin(std::span<const float> parameters) override;
  model::Totals step(const model::Batch& batch, const optim::Position& position) override {
    return inner_->step(batch, position);
  }
  void finish() override { inner_->finish(); }
  std::span<const float> parameters() const override { return inner_->parameters(); }
  bool converged() const override { return inner_->converged(); }
  std::map<std::string, double> metrics() const override { return inner_->metrics(); }
  optim::State state() override;
  std::vector<double> scalars() const override;
  void set_scalars(std::span<const double> scalars) override;

 private:
  std::unique_ptr<optim::Optimizer> inner_;
  std::vector<float> best_;
  double best_value_ = std::numeric_limits<double>::infinity();
  std::uint64_t best_epoch_ = 0;
};

}  // namespace lambdaml::worker
