// Margins, loss and gradient of a linear model in one pass; included by kernels_impl.h.
#pragma once

namespace lambdaml::tensor {
namespace {

/// The three steps process so few rows at a time that the loads of the next rows begin before they
/// end: with tiles that fill a cache, memory would be idle during the second and third step.
constexpr std::size_t kStep = 32;
constexpr std::size_t kSparseStep = 8;

template <class Loss>
void add_gradient(const float* x, std::size_t rows, std::size_t cols, const float* labels,
                  const float* weights, float bias, float* gradient, double* sums) {
  LossTotal<Loss, float> loss;
  alignas(64) float z[kStep];
  const auto each_step = [&](auto add_residuals) {
    for (std::size_t i = 0; i < rows; i += kStep)
      add_residuals(i, rows - i < kStep ? rows - i : kStep);
  };
  if (cols == 0 || cols > kMaxVectors * kWidth) {
    each_step([&](std::size_t i, std::size_t n) {
      margins(x + i * cols, n, cols, weights, bias, z);
      loss.add(n, labels + i, z);
      accumulate(x + i * cols, n, cols, z, gradient);
    });
  } else {
    with_vectors(vectors_of(cols), [&](auto v) {
      ColumnSums<v.value> columns(First(cols - (v.value - 1) * kWidth));
      each_step([&](std::size_t i, std::size_t n) {
        margins_of_narrow_rows<v.value>(x + i * cols, n, cols, weights, bias, z);
        loss.add(n, labels + i, z);
        columns.add(x + i * cols, n, cols, z);
      });
      columns.add_to(gradient);
    });
  }
  loss.add_to(sums);
}

template <class Loss>
void add_gradient(const float* x, std::size_t rows, std::size_t cols, const float* labels,
                  const double* weights, double bias, double* gradient, double* sums) {
  LossTotal<Loss, double> loss;
  double z[kStep];
  for (std::size_t i = 0; i < rows; i += kStep) {
    const std::size_t n = rows - i < kStep ? rows - i : kStep;
    margins(x + i * cols, n, cols, weights, bias, z);
    loss.add(n, labels + i, z);
    accumulate(x + i * cols, n, cols, z, gradient);
  }
  loss.add_to(sums);
}

template <class Loss, class Index, class Real>
void add_gradient(const std::uint64_t* offsets, const Index* indices, const float* values,
                  std::size_t rows, const float* labels, const Real* weights, Real bias,
                  Real* gradient, double* sums) {
  LossTotal<Loss, Real> loss;
  alignas(64) Real z[kSparseStep];
  for (std::size_t i = 0; i < rows; i += kSparseStep) {
    const std::size_t n = rows - i < kSparseStep ? rows - i : kSparseStep;
    margins(offsets + i, indices, values, n, weights, bias, z);
    loss.add(n, labels + i, z);
    accumulate(offsets + i, indices, values, n, z, gradient);
  }
  loss.add_to(sums);
}

}  // namespace
}  // namespace lambdaml::tensor
