#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/model/model.h"
#include "lambdaml/model/testing/testing.h"

/// Problems whose optimum is known in closed form, to test optimizers on.
namespace lambdaml::optim::testing {

/// loss_i(w) = ½ (⟨x_i, w⟩ − y_i)², no bias; all parameters penalized. Dense rows only; targets
/// are any numbers.
class LeastSquares final : public model::GradientModel {
 public:
  explicit LeastSquares(std::size_t features) : features_(features) {}

  std::size_t parameter_count() const override { return features_; }
  void initialize(const Start&, std::span<float> parameters) override {
    std::fill(parameters.begin(), parameters.end(), 0.0F);
  }
  model::Totals accumulate(const model::Batch& batch, std::span<const float> parameters,
                           std::span<float> sums) override {
    const auto& x = std::get<tensor::DenseView>(batch.features);
    model::Totals totals{.rows = static_cast<double>(x.rows)};
    for (std::size_t i = 0; i < x.rows; ++i) {
      double residual = -static_cast<double>(batch.targets[i]);
      for (std::size_t j = 0; j < features_; ++j)
        residual += static_cast<double>(x.row(i)[j]) * parameters[j];
      totals.loss += 0.5 * residual * residual;
      for (std::size_t j = 0; j < sums.size(); ++j)
        sums[j] += static_cast<float>(residual * x.row(i)[j]);
    }
    return totals;
  }
  model::Totals evaluate(const model::Batch& batch, std::span<const float> parameters) override {
    return accumulate(batch, parameters, {});
  }
  Prediction predict(const model::Batch&, std::span<const float>, const Wanted&) override {
    return {};
  }
  std::vector<Piece> pieces() const override { return {{"weight", {features_}}}; }
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override {
    return {{0, features_}};
  }

 private:
  std::size_t features_;
};

/// argmin of the mean loss + l2/2 ‖w‖² over all rows: (XᵀX/N + l2 I)⁻¹ Xᵀy/N, by elimination.
inline std::vector<double> ridge_optimum(const model::testing::Rows& rows, double l2) {
  const std::size_t d = rows.cols();
  const auto n = static_cast<double>(rows.size());
  const model::Batch batch = rows.dense();
  const auto& x = std::get<tensor::DenseView>(batch.features);
  std::vector<std::vector<double>> a(d, std::vector<double>(d + 1));
  for (std::size_t j = 0; j < d; ++j) {
    a[j][j] = l2;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t k = 0; k < d; ++k)
        a[j][k] += static_cast<double>(x.row(i)[j]) * x.row(i)[k] / n;
      a[j][d] += static_cast<double>(x.row(i)[j]) * batch.targets[i] / n;
    }
  }
  for (std::size_t p = 0; p < d; ++p)
    for (std::size_t r = 0; r < d; ++r) {
      if (r == p) continue;
      const double factor = a[r][p] / a[p][p];
      for (std::size_t k = p; k <= d; ++k) a[r][k] -= factor * a[p][k];
    }
  std::vector<double> w(d);
  for (std::size_t j = 0; j < d; ++j) w[j] = a[j][d] / a[j][j];
  return w;
}

/// Rows with XᵀX/N = I exactly (a Hadamard design of 8 rows repeated, 4 features) and targets
/// y = ⟨x, truth⟩, so that Xᵀy/N = truth and the lasso is the soft threshold of `truth`.
inline model::testing::Rows orthogonal_rows(std::size_t repeats, const std::vector<float>& truth) {
  model::testing::Rows rows(8 * repeats, 4);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    float y = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      // Column j of the Hadamard matrix of order 8: (−1)^popcount(i & j).
      rows.at(i, j) = __builtin_popcountll(i % 8 & (j + 1)) % 2 == 0 ? 1.0F : -1.0F;
      y += truth[j] * rows.at(i, j);
    }
    rows.target(i) = y;
  }
  return rows;
}

}  // namespace lambdaml::optim::testing
