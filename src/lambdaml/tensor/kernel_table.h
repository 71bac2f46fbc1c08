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

/// Arrays of kernels have one for each Loss, in its order. All add the loss, the residuals and the
/// correct rows to `sums`.
constexpr std::size_t kLosses = 4;

/// `weights` may be null: 1.
template <class Real>
using LossKernel = void (*)(std::size_t n, const float* labels, const float* weights, Real* z,
                            double* sums);

/// The kernels of linear models whose weights and gradients are Real, over rows x.
template <class Real, class... Rows>
struct LinearKernels {
  void (*margins)(Rows... x, const Real* weights, Real bias, Real* out);
  void (*accumulate)(Rows... x, const Real* residuals, Real* gradient);
  void (*add_gradient[kLosses])(Rows... x, const float* labels, const Real* weights, Real bias,
                                Real* gradient, double* sums);
};

template <class... Rows>
struct RowKernels {
  LinearKernels<float, Rows...> floats;
  LinearKernels<double, Rows...> doubles;
  double (*assign)(Rows... x, const CentroidTable& centroids, const AssignOutput& out);
};
/// x, rows, columns.
using DenseKernels = RowKernels<const float*, std::size_t, std::size_t>;
/// Offsets, indices, values, rows.
template <class Index>
using SparseKernels = RowKernels<const std::uint64_t*, const Index*, const float*, std::size_t>;

struct KernelTable {
  const char* name;
  DenseKernels dense;
  SparseKernels<std::uint16_t> sparse16;
  SparseKernels<std::uint32_t> sparse32;
  LossKernel<float> losses[kLosses];
  LossKernel<double> double_losses[kLosses];
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
