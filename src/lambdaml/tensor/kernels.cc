#include "lambdaml/tensor/kernels.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <type_traits>

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

const auto& kernels_of(const DenseView&) { return kernels().dense; }
const auto& kernels_of(const Csr16&) { return kernels().sparse16; }
const auto& kernels_of(const Csr32&) { return kernels().sparse32; }

template <class Real, class Rows>
const auto& linear_kernels_of(const Rows& x) {
  if constexpr (std::is_same_v<Real, float>)
    return kernels_of(x).floats;
  else
    return kernels_of(x).doubles;
}

/// Calls a kernel of `x`.
template <class Kernel, class... Arguments>
auto call(Kernel kernel, const DenseView& x, Arguments&&... arguments) {
  return kernel(x.data, x.rows, x.cols, arguments...);
}
template <class Kernel, class Index, class... Arguments>
auto call(Kernel kernel, const CsrView<Index>& x, Arguments&&... arguments) {
  return kernel(x.offsets, x.indices, x.values, x.rows, arguments...);
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

template <class Rows, class Real>
void margins(const Rows& x, const Real* weights, std::type_identity_t<Real> bias, Real* margins) {
  call(linear_kernels_of<Real>(x).margins, x, weights, bias, margins);
}

template <class Rows, class Real>
void accumulate(const Rows& x, const Real* residuals, Real* gradient) {
  call(linear_kernels_of<Real>(x).accumulate, x, residuals, gradient);
}

template <class Real>
LossSums apply_loss(Loss loss, std::size_t n, const float* labels, const float* weights, Real* z) {
  double sums[3] = {};
  if constexpr (std::is_same_v<Real, float>)
    kernels().losses[index_of(loss)](n, labels, weights, z, sums);
  else
    kernels().double_losses[index_of(loss)](n, labels, weights, z, sums);
  return {sums[0], sums[1], sums[2]};
}

template <class Rows, class Real>
LossSums add_gradient(Loss loss, const Rows& x, const float* labels, const Real* weights,
                      std::type_identity_t<Real> bias, Real* gradient) {
  double sums[3] = {};
  call(linear_kernels_of<Real>(x).add_gradient[index_of(loss)], x, labels, weights, bias, gradient,
       sums);
  return {sums[0], sums[1], sums[2]};
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

template <class Rows>
double assign(const Rows& x, const Centroids& centroids, double* sums, double* counts,
              float* scratch, std::uint32_t* nearest, float* distances) {
  return call(kernels_of(x).assign, x, table_of(centroids),
              AssignOutput{sums, counts, scratch, nearest, distances});
}

template LossSums apply_loss(Loss, std::size_t, const float*, const float*, float*);
template LossSums apply_loss(Loss, std::size_t, const float*, const float*, double*);
#define LAMBDAML_LINEAR(Rows, Real)                             \
  template void margins(const Rows&, const Real*, Real, Real*); \
  template void accumulate(const Rows&, const Real*, Real*);    \
  template LossSums add_gradient(Loss, const Rows&, const float*, const Real*, Real, Real*)
#define LAMBDAML_ROWS(Rows)                                                                       \
  LAMBDAML_LINEAR(Rows, float);                                                                   \
  LAMBDAML_LINEAR(Rows, double);                                                                  \
  template double assign(const Rows&, const Centroids&, double*, double*, float*, std::uint32_t*, \
                         float*)
LAMBDAML_ROWS(DenseView);
LAMBDAML_ROWS(Csr16);
LAMBDAML_ROWS(Csr32);
#undef LAMBDAML_ROWS
#undef LAMBDAML_LINEAR

}  // namespace lambdaml::tensor
