#include "lambdaml/tensor/kernels.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/tensor/kernel_dispatch.h"

namespace lambdaml::tensor {
namespace {

const KernelTable& kernels() {
  static const KernelTable& chosen = []() -> const KernelTable& {
    return kernels_named(environment_variable("LAMBDAML_ISA").value_or(""));
  }();
  return chosen;
}

static_assert(static_cast<std::size_t>(Loss::squared) + 1 == kLosses);
std::size_t index_of(Loss loss) { return static_cast<std::size_t>(loss); }

template <class Index>
LossSums add_sparse_gradient(const SparseKernels<Index>& k, Loss loss, const CsrView<Index>& x,
                             const float* labels, const float* weights, float bias,
                             float* gradient) {
  double sums[3] = {};
  k.add_gradient[index_of(loss)](x.offsets, x.indices, x.values, x.rows, labels, weights, bias,
                                 gradient, sums);
  return {sums[0], sums[1], sums[2]};
}

template <class Index>
LossSums add_sparse_gradient(const SparseKernels<Index>& k, Loss loss, const CsrView<Index>& x,
                             const float* labels, const double* weights, double bias,
                             double* gradient) {
  double sums[3] = {};
  k.double_add_gradient[index_of(loss)](x.offsets, x.indices, x.values, x.rows, labels, weights,
                                        bias, gradient, sums);
  return {sums[0], sums[1], sums[2]};
}

CentroidTable table_of(const Centroids& c) {
  return {c.k, c.d, c.padded_k, c.transposed, c.half_squared, c.squared, c.rows};
}

}  // namespace

std::vector<const KernelTable*> usable_kernels() {
  std::vector<const KernelTable*> usable;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    usable.push_back(&kAvx512Kernels);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    usable.push_back(&kAvx2Kernels);
#endif
  usable.push_back(&kPortableKernels);
  return usable;
}

const KernelTable& kernels_named(std::string_view name) {
  const std::vector<const KernelTable*> usable = usable_kernels();
  if (name.empty()) return *usable.front();
  std::string names;
  for (const KernelTable* table : usable) {
    if (name == table->name) return *table;
    names += names.empty() ? "" : ", ";
    names += table->name;
  }
  fail(
      Code::invalid_argument,
      "choosing the instruction set: LAMBDAML_ISA is '{}', but this processor runs {}; unset it or "
      "name one of these",
      printable(name), names);
}

std::string_view instruction_set() { return kernels().name; }

std::size_t rows_per_tile(const MatrixView& x) {
  constexpr std::size_t kTileBytes = 32 * 1024;
  const std::size_t per_value = is_sparse(x) ? 6 : 4;
  const std::size_t row_bytes = rows(x) == 0 ? 0 : stored_values(x) / rows(x) * per_value;
  const std::size_t fitting = kTileBytes / (row_bytes + 2 * sizeof(float));
  return fitting < 16 ? 16 : fitting / 16 * 16;
}

void margins(const DenseView& x, const float* weights, float bias, float* margins) {
  kernels().margins(x.data, x.rows, x.cols, weights, bias, margins);
}
void margins(const Csr16& x, const float* weights, float bias, float* margins) {
  kernels().sparse16.margins(x.offsets, x.indices, x.values, x.rows, weights, bias, margins);
}
void margins(const Csr32& x, const float* weights, float bias, float* margins) {
  kernels().sparse32.margins(x.offsets, x.indices, x.values, x.rows, weights, bias, margins);
}

void accumulate(const DenseView& x, const float* residuals, float* gradient) {
  kernels().accumulate(x.data, x.rows, x.cols, residuals, gradient);
}
void accumulate(const Csr16& x, const float* residuals, float* gradient) {
  kernels().sparse16.accumulate(x.offsets, x.indices, x.values, x.rows, residuals, gradient);
}
void accumulate(const Csr32& x, const float* residuals, float* gradient) {
  kernels().sparse32.accumulate(x.offsets, x.indices, x.values, x.rows, residuals, gradient);
}

LossSums apply_loss(Loss loss, std::size_t n, const float* labels, float* z) {
  double sums[3] = {};
  kernels().losses[index_of(loss)](n, labels, z, sums);
  return {sums[0], sums[1], sums[2]};
}

LossSums apply_loss(Loss loss, std::size_t n, const float* labels, const float* weights, float* z) {
  double sums[3] = {};
  kernels().weighted_losses[index_of(loss)](n, labels, weights, z, sums);
  return {sums[0], sums[1], sums[2]};
}

double logistic(std::size_t n, const float* labels, float* z, double& correct) {
  const LossSums sums = apply_loss(Loss::logistic, n, labels, z);
  correct += sums.correct;
  return sums.loss;
}
double hinge(std::size_t n, const float* labels, float* z, double& correct) {
  const LossSums sums = apply_loss(Loss::hinge, n, labels, z);
  correct += sums.correct;
  return sums.loss;
}

LossSums add_gradient(Loss loss, const DenseView& x, const float* labels, const float* weights,
                      float bias, float* gradient) {
  double sums[3] = {};
  kernels().add_gradient[index_of(loss)](x.data, x.rows, x.cols, labels, weights, bias, gradient,
                                         sums);
  return {sums[0], sums[1], sums[2]};
}
LossSums add_gradient(Loss loss, const Csr16& x, const float* labels, const float* weights,
                      float bias, float* gradient) {
  return add_sparse_gradient(kernels().sparse16, loss, x, labels, weights, bias, gradient);
}
LossSums add_gradient(Loss loss, const Csr32& x, const float* labels, const float* weights,
                      float bias, float* gradient) {
  return add_sparse_gradient(kernels().sparse32, loss, x, labels, weights, bias, gradient);
}

void margins(const DenseView& x, const double* weights, double bias, double* margins) {
  kernels().double_margins(x.data, x.rows, x.cols, weights, bias, margins);
}
void margins(const Csr16& x, const double* weights, double bias, double* margins) {
  kernels().sparse16.double_margins(x.offsets, x.indices, x.values, x.rows, weights, bias, margins);
}
void margins(const Csr32& x, const double* weights, double bias, double* margins) {
  kernels().sparse32.double_margins(x.offsets, x.indices, x.values, x.rows, weights, bias, margins);
}

void accumulate(const DenseView& x, const double* residuals, double* gradient) {
  kernels().double_accumulate(x.data, x.rows, x.cols, residuals, gradient);
}
void accumulate(const Csr16& x, const double* residuals, double* gradient) {
  kernels().sparse16.double_accumulate(x.offsets, x.indices, x.values, x.rows, residuals, gradient);
}
void accumulate(const Csr32& x, const double* residuals, double* gradient) {
  kernels().sparse32.double_accumulate(x.offsets, x.indices, x.values, x.rows, residuals, gradient);
}

LossSums apply_loss(Loss loss, std::size_t n, const float* labels, double* z) {
  return apply_loss(loss, n, labels, nullptr, z);
}
LossSums apply_loss(Loss loss, std::size_t n, const float* labels, const float* weights,
                    double* z) {
  double sums[3] = {};
  kernels().double_losses[index_of(loss)](n, labels, weights, z, sums);
  return {sums[0], sums[1], sums[2]};
}

LossSums add_gradient(Loss loss, const DenseView& x, const float* labels, const double* weights,
                      double bias, double* gradient) {
  double sums[3] = {};
  kernels().double_add_gradient[index_of(loss)](x.data, x.rows, x.cols, labels, weights, bias,
                                                gradient, sums);
  return {sums[0], sums[1], sums[2]};
}
LossSums add_gradient(Loss loss, const Csr16& x, const float* labels, const double* weights,
                      double bias, double* gradient) {
  return add_sparse_gradient(kernels().sparse16, loss, x, labels, weights, bias, gradient);
}
LossSums add_gradient(Loss loss, const Csr32& x, const float* labels, const double* weights,
                      double bias, double* gradient) {
  return add_sparse_gradient(kernels().sparse32, loss, x, labels, weights, bias, gradient);
}

void axpy(std::size_t n, float a, const float* x, float* y) { kernels().axpy(n, a, x, y); }
double dot(std::size_t n, const float* x, const float* y) { return kernels().dot(n, x, y); }

void sum_in_order(std::span<const float* const> inputs, std::size_t n, float* out) {
  kernels().sum_floats(inputs.data(), inputs.size(), n, out);
}
void sum_in_order(std::span<const double* const> inputs, std::size_t n, double* out) {
  kernels().sum_doubles(inputs.data(), inputs.size(), n, out);
}

float read_all(const float* data, std::size_t n) { return kernels().read_all(data, n); }

void Centroids::prepare(const float* centroids, std::size_t count, std::size_t dimensions) {
  const std::size_t padded = (count + 15) / 16 * 16;
  // In floats: the squared norms in double first, so that all parts are aligned.
  std::size_t transposed_size = 0;
  std::size_t needed = 0;
  if (__builtin_mul_overflow(padded, dimensions, &transposed_size) ||
      __builtin_mul_overflow(transposed_size + 2 * padded, std::size_t{2}, &needed) ||
      needed > std::numeric_limits<std::size_t>::max() / sizeof(float))
    throw std::bad_alloc();
  if (needed > capacity_) {
    ::operator delete[](storage_, std::align_val_t{64});
    storage_ = nullptr;
    capacity_ = 0;
    storage_ = static_cast<float*>(::operator new[](needed * sizeof(float), std::align_val_t{64}));
    capacity_ = needed;
  }
  k = count;
  d = dimensions;
  padded_k = padded;
  auto* norms = reinterpret_cast<double*>(storage_);
  half_squared = storage_ + 2 * padded;
  transposed = half_squared + padded;
  float* copy = transposed + transposed_size;
  if (k * d != 0) std::memcpy(copy, centroids, k * d * sizeof(float));
  std::memset(transposed, 0, transposed_size * sizeof(float));
  for (std::size_t j = 0; j < padded; ++j) {
    norms[j] = 0;
    if (j >= k) {
      half_squared[j] = std::numeric_limits<float>::infinity();
      continue;
    }
    for (std::size_t f = 0; f < d; ++f) {
      const float value = copy[j * d + f];
      transposed[f * padded + j] = value;
      norms[j] += double{value} * double{value};
    }
    half_squared[j] = static_cast<float>(norms[j] / 2);
  }
  squared = norms;
  rows = copy;
}

Centroids::~Centroids() { ::operator delete[](storage_, std::align_val_t{64}); }

double assign(const DenseView& x, const Centroids& centroids, double* sums, double* counts,
              float* scratch, std::uint32_t* nearest, float* distances) {
  return kernels().assign(x.data, x.rows, table_of(centroids),
                          {sums, counts, scratch, nearest, distances});
}
double assign(const Csr16& x, const Centroids& centroids, double* sums, double* counts,
              float* scratch, std::uint32_t* nearest, float* distances) {
  return kernels().sparse16.assign(x.offsets, x.indices, x.values, x.rows, table_of(centroids),
                                   {sums, counts, scratch, nearest, distances});
}
double assign(const Csr32& x, const Centroids& centroids, double* sums, double* counts,
              float* scratch, std::uint32_t* nearest, float* distances) {
  return kernels().sparse32.assign(x.offsets, x.indices, x.values, x.rows, table_of(centroids),
                                   {sums, counts, scratch, nearest, distances});
}

}  // namespace lambdaml::tensor
