#pragma once

#include <cstddef>
#include <cstdint>

/// Internal to the layer: the kernels of one instruction set. The sources that include this are
/// compiled with flags that the running processor may not support, so nothing here has a body or
/// uses standard library templates: the linker keeps one copy of an inline function, and it might
/// be one of those.
namespace lambdaml::tensor {

/// The contents of Centroids as plain pointers.
struct CentroidTable {
  std::size_t k;
  std::size_t d;
  std::size_t padded_k;
  const float* transposed;
  const float* half_squared;
  const double* squared;
  const float* rows;
};

/// The outputs of assign(); any may be null, `sums`, `counts` and `scratch` only together.
struct AssignOutput {
  double* sums;
  double* counts;
  float* scratch;
  std::uint32_t* nearest;
  float* distances;
};

/// The kernels of each Loss, in its order. All add the loss, the residuals and the correct rows to
/// `sums`.
constexpr std::size_t kLosses = 4;

template <class Index>
struct SparseKernels {
  using AddGradient = void (*)(const std::uint64_t* offsets, const Index* indices,
                               const float* values, std::size_t rows, const float* labels,
                               const float* weights, float bias, float* gradient, double* sums);
  void (*margins)(const std::uint64_t* offsets, const Index* indices, const float* values,
                  std::size_t rows, const float* weights, float bias, float* out);
  void (*accumulate)(const std::uint64_t* offsets, const Index* indices, const float* values,
                     std::size_t rows, const float* residuals, float* gradient);
  double (*assign)(const std::uint64_t* offsets, const Index* indices, const float* values,
                   std::size_t rows, const CentroidTable& centroids, const AssignOutput& out);
  AddGradient add_gradient[kLosses];
  using DoubleAddGradient = void (*)(const std::uint64_t* offsets, const Index* indices,
                                     const float* values, std::size_t rows, const float* labels,
                                     const double* weights, double bias, double* gradient,
                                     double* sums);
  void (*double_margins)(const std::uint64_t* offsets, const Index* indices, const float* values,
                         std::size_t rows, const double* weights, double bias, double* out);
  void (*double_accumulate)(const std::uint64_t* offsets, const Index* indices, const float* values,
                            std::size_t rows, const double* residuals, double* gradient);
  DoubleAddGradient double_add_gradient[kLosses];
};

struct KernelTable {
  using Loss = void (*)(std::size_t n, const float* labels, float* z, double* sums);
  using WeightedLoss = void (*)(std::size_t n, const float* labels, const float* weights, float* z,
                                double* sums);
  using AddGradient = void (*)(const float* x, std::size_t rows, std::size_t cols,
                               const float* labels, const float* weights, float bias,
                               float* gradient, double* sums);
  const char* name;
  void (*margins)(const float* x, std::size_t rows, std::size_t cols, const float* weights,
                  float bias, float* out);
  void (*accumulate)(const float* x, std::size_t rows, std::size_t cols, const float* residuals,
                     float* gradient);
  double (*assign)(const float* x, std::size_t rows, const CentroidTable& centroids,
                   const AssignOutput& out);
  SparseKernels<std::uint16_t> sparse16;
  SparseKernels<std::uint32_t> sparse32;
  Loss losses[kLosses];
  WeightedLoss weighted_losses[kLosses];
  AddGradient add_gradient[kLosses];
  using DoubleLoss = void (*)(std::size_t n, const float* labels, const float* weights, double* z,
                              double* sums);
  using DoubleAddGradient = void (*)(const float* x, std::size_t rows, std::size_t cols,
                                     const float* labels, const double* weights, double bias,
                                     double* gradient, double* sums);
  void (*double_margins)(const float* x, std::size_t rows, std::size_t cols, const double* weights,
                         double bias, double* out);
  void (*double_accumulate)(const float* x, std::size_t rows, std::size_t cols,
                            const double* residuals, double* gradient);
  DoubleLoss double_losses[kLosses];
  DoubleAddGradient double_add_gradient[kLosses];
  void (*axpy)(std::size_t n, float a, const float* x, float* y);
  double (*dot)(std::size_t n, const float* x, const float* y);
  void (*sum_floats)(const float* const* inputs, std::size_t count, std::size_t n, float* out);
  void (*sum_doubles)(const double* const* inputs, std::size_t count, std::size_t n, double* out);
  float (*read_all)(const float* data, std::size_t n);
};

extern const KernelTable kPortableKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
#endif

}  // namespace lambdaml::tensor
