#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "lambdaml/model/model.h"
#include "lambdaml/optim/minimizer.h"

namespace lambdaml::optim {

/// One worker's answer to a question of a Minimizer, from one pass over its rows.
class Pass {
 public:
  explicit Pass(std::size_t parameters) : sums_(parameters), scratch_(parameters) {}

  void begin();
  void add(model::GradientModel& model, const model::Batch& batch, Minimizer& minimizer);

  /// Sums over the rows: of the gradient at the trial, with totals, or of the losses at points.
  std::span<const double> gradient() const { return sums_; }
  const model::Totals& totals() const { return totals_; }
  std::array<double, Minimizer::kMostSteps>& losses() { return losses_; }

  /// For suspensions within a pass.
  void append_scalars(std::vector<double>& scalars) const;
  void set_scalars(std::span<const double> scalars);
  std::size_t scalar_count() const { return 3 + losses_.size() + sums_.size(); }

 private:
  std::vector<double> sums_;
  std::vector<float> scratch_;
  std::array<double, Minimizer::kMostSteps> losses_{};
  model::Totals totals_;
};

}  // namespace lambdaml::optim
