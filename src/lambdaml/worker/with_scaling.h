#pragma once

#include <memory>

#include "lambdaml/data/scaling.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::worker {

/// An optimizer of a job whose columns are scaled: the scaling belongs to its state, so that a
/// worker that continues from a checkpoint scales its rows as before. parameters() are those for
/// scaled rows.
class WithScaling final : public optim::Optimizer {
 public:
  WithScaling(std::unique_ptr<optim::Optimizer> inner, std::size_t cols);

  /// With factors of 1 until it is set. Spans of state() are into it.
  data::Scaling& scaling() { return scaling_; }
  /// Whether it changes any value.
  bool scales() const;

  std::uint64_t passes_per_epoch() const override { return inner_->passes_per_epoch(); }
  void prepare(const model::Batch& rows, comm::Communicator& communicator) override {
    inner_->prepare(rows, communicator);
  }
  std::size_t starts() const override { return inner_->starts(); }
  void begin(std::span<const float> parameters) override { inner_->begin(parameters); }
  model::Totals step(const model::Batch& batch, const optim::Position& position) override {
    return inner_->step(batch, position);
  }
  void finish() override { inner_->finish(); }
  std::span<const float> parameters() const override { return inner_->parameters(); }
  bool converged() const override { return inner_->converged(); }
  std::map<std::string, double> metrics() const override { return inner_->metrics(); }
  optim::State state() override;
  std::vector<double> scalars() const override { return inner_->scalars(); }
  void set_scalars(std::span<const double> scalars) override { inner_->set_scalars(scalars); }

 private:
  std::unique_ptr<optim::Optimizer> inner_;
  data::Scaling scaling_;
};

}  // namespace lambdaml::worker
