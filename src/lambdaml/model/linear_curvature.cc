// What the curvature of a linear model's loss is, for the choice of learning rates and of scales.
#include <algorithm>
#include <cmath>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/model/linear.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::model {
namespace {

double squared_norm_of_row(const tensor::DenseView& x, std::size_t i) {
  return tensor::dot(x.cols, x.data + i * x.cols, x.data + i * x.cols);
}
template <class Index>
double squared_norm_of_row(const tensor::CsrView<Index>& x, std::size_t i) {
  const float* values = x.values + x.offsets[i];
  return tensor::dot(x.offsets[i + 1] - x.offsets[i], values, values);
}

void add_squares_of_row(const tensor::DenseView& x, std::size_t i, double weight, double* sums) {
  const float* row = x.data + i * x.cols;
  for (std::size_t j = 0; j < x.cols; ++j)  // vectorized
    sums[j] += weight * (static_cast<double>(row[j]) * row[j]);
}
template <class Index>
void add_squares_of_row(const tensor::CsrView<Index>& x, std::size_t i, double weight,
                        double* sums) {
  for (std::uint64_t at = x.offsets[i]; at < x.offsets[i + 1]; ++at)
    sums[x.indices[at]] += weight * (static_cast<double>(x.values[at]) * x.values[at]);
}

}  // namespace

std::optional<GradientModel::Smoothness> LinearModel::smoothness(const Batch& batch) {
  constexpr std::size_t kRows = 10'000;
  constexpr int kIterations = 20;
  const std::size_t n = std::min(batch.rows(), kRows);
  if (n == 0) return Smoothness{};
  const tensor::MatrixView sample = tensor::slice(batch.features, 0, n);
  std::vector<float> margins(n, 1.0F);
  std::vector<float> v(features_);
  // Begins with the sum of the rows, which is not orthogonal to the largest eigenvector unless the
  // rows are balanced around 0; then rounding and the intercept break the balance.
  double intercept = 1, largest = 0, squares = 0;
  for (int i = 0; i <= kIterations; ++i) {
    for (std::size_t r = 0; r < batch.weights.size() && r < n; ++r) margins[r] *= batch.weights[r];
    std::ranges::fill(v, 0.0F);
    std::visit([&](const auto& x) { tensor::accumulate(x, margins.data(), v.data()); }, sample);
    intercept = 0;
    for (const float margin : margins) intercept += has_intercept_ ? margin : 0.0F;
    const double norm =
        std::sqrt(tensor::dot(v.size(), v.data(), v.data()) + intercept * intercept);
    if (norm == 0) break;
    for (float& value : v) value = static_cast<float>(value / norm);
    if (i > 0) largest = norm / static_cast<double>(n);
    std::visit(
        [&](const auto& x) {
          tensor::margins(x, v.data(), static_cast<float>(intercept / norm), margins.data());
        },
        sample);
  }
  std::visit(
      [&](const auto& x) {
        for (std::size_t i = 0; i < n; ++i)
          squares +=
              (batch.weights.empty() ? 1 : batch.weights[i]) * (1 + squared_norm_of_row(x, i));
      },
      sample);
  return Smoothness{curvature() * largest, curvature() * squares / static_cast<double>(n)};
}

bool LinearModel::add_curvatures(const Batch& rows, std::span<double> sums) {
  if (tensor::cols(rows.features) != features_ || sums.size() != parameter_count())
    fail(Code::internal, "curvatures of {} features and {} parameters for a model of {} and {}",
         tensor::cols(rows.features), sums.size(), features_, parameter_count());
  std::vector<double> squares(features_);
  double weights = 0;
  const auto add_rows = [&](const auto& x) {
    for (std::size_t i = 0; i < x.rows; ++i) {
      const double weight = rows.weights.empty() ? 1 : rows.weights[i];
      weights += weight;
      add_squares_of_row(x, i, weight, squares.data());
    }
  };
  std::visit(add_rows, rows.features);
  for (std::size_t c = 0; c < outputs_; ++c) {
    for (std::size_t j = 0; j < features_; ++j) sums[c * features_ + j] += curvature() * squares[j];
    sums[outputs_ * features_ + c] += curvature() * weights;
  }
  return true;
}

}  // namespace lambdaml::model
