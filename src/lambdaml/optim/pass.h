#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "lambdaml/model/model.h"
#include "lambdaml/optim/minimizer.h"

namespace lambdaml::optim {

/// One worker's answer to a question of a Minimizer, from one pass over its rows.
template <class Real>
class BasicPass {
 public:
  /// What the minimizer's vectors are summed by.
  using Sums =
      std::conditional_t<std::is_same_v<Real, float>, model::GradientModel, model::DoubleSums>;

  /// Takes no memory of the size of the model before begin().
  explicit BasicPass(std::size_t parameters) : parameters_(parameters) {}
  /// Of its vectors, once it has begun.
  std::uint64_t bytes() const {
    return parameters_ * (sizeof(double) + (std::is_same_v<Real, float> ? sizeof(float) : 0));
  }
  /// Of these, what append_scalars() adds.
  std::uint64_t state_bytes() const { return parameters_ * sizeof(double); }

  void begin();
  void add(Sums& model, const model::Batch& batch, BasicMinimizer<Real>& minimizer);

  /// Sums over the rows: of the gradient at the trial, with totals, or of the losses at points.
  std::span<const double> gradient() const { return sums_; }
  const model::Totals& totals() const { return totals_; }
  std::array<double, Minimizer::kMostSteps>& losses() { return losses_; }

  /// For suspensions within a pass.
  void append_scalars(std::vector<double>& scalars) const;
  void set_scalars(std::span<const double> scalars);
  std::size_t scalar_count() const { return 3 + losses_.size() + parameters_; }

 private:
  std::size_t parameters_;
  std::vector<double> sums_;
  std::vector<float> scratch_;  ///< a batch's gradient in float
  std::array<double, Minimizer::kMostSteps> losses_{};
  model::Totals totals_;
};

using Pass = BasicPass<float>;

}  // namespace lambdaml::optim
