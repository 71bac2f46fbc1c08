#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/optim/optimizer.h"

namespace lambdaml::worker {

/// An optimizer to whose state something belongs that the job needs beside it: derived classes add
/// it to state() and scalars(). Everything else is the inner optimizer's.
class Wrapped : public optim::Optimizer {
 public:
  explicit Wrapped(std::unique_ptr<optim::Optimizer> inner) : inner_(std::move(inner)) {}

  std::uint64_t passes_per_epoch() const final { return inner_->passes_per_epoch(); }
  void prepare(const model::Batch& rows, comm::Communicator& communicator) final {
    inner_->prepare(rows, communicator);
  }
  void set_penalty_factors(std::vector<float> factors) final {
    inner_->set_penalty_factors(std::move(factors));
  }
  std::uint64_t vector_bytes() const override { return inner_->vector_bytes(); }
  std::uint64_t state_bytes() const override { return inner_->state_bytes(); }
  std::size_t starts() const final { return inner_->starts(); }
  void begin(std::span<const float> parameters) override { inner_->begin(parameters); }
  model::Totals step(const model::Batch& batch, const optim::Position& position) final {
    return inner_->step(batch, position);
  }
  void finish() final { inner_->finish(); }
  std::span<const float> parameters() const final { return inner_->parameters(); }
  bool converged() const final { return inner_->converged(); }
  std::map<std::string, double> metrics() const final { return inner_->metrics(); }
  optim::State state() override { return inner_->state(); }
  optim::Cut cut() const final { return inner_->cut(); }
  std::vector<double> scalars() const override { return inner_->scalars(); }
  void set_scalars(std::span<const double> scalars) override { inner_->set_scalars(scalars); }

 private:
  std::unique_ptr<optim::Optimizer> inner_;
};

}  // namespace lambdaml::worker
