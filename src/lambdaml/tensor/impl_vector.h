// Loops over plain vectors; included by kernels_impl.h.
#pragma once

namespace lambdaml::tensor {
namespace {

void axpy(std::size_t n, float a, const float* x, float* y) {
  const F factor = broadcast(a);
  for (std::size_t i = 0; i < n; i += kWidth) {
    const First first(n - i < kWidth ? n - i : kWidth);
    store(y + i, first, fma(load(x + i, first), factor, load(y + i, first)));
  }
}

double dot(std::size_t n, const float* x, const float* y) {
  Doubles even;
  Doubles odd;
  std::size_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    even.add_product(load(x + i), load(y + i));
    odd.add_product(load(x + i + kWidth), load(y + i + kWidth));
  }
  for (; i < n; i += kWidth) {
    const First first(n - i < kWidth ? n - i : kWidth);
    even.add_product(load(x + i, first), load(y + i, first));
  }
  return even.sum() + odd.sum();
}

typedef double UnalignedD
    __attribute__((vector_size(kWidth * sizeof(float)), aligned(alignof(double)), may_alias));
template <class T>
struct Run;
template <>
struct Run<float> {
  using Type = UnalignedF;
};
template <>
struct Run<double> {
  using Type = UnalignedD;
};

/// Processes four vectors of each input before the next input: runs long enough for memory, with
/// few enough registers. Each element is a plain chain of additions, whatever its position.
template <class T>
void sum_in_order(const T* const* inputs, std::size_t count, std::size_t n, T* out) {
  using V = typename Run<T>::Type;
  constexpr std::size_t kLanes = sizeof(V) / sizeof(T);
  constexpr std::size_t kVectors = 4;
  if (count == 0) {
    for (std::size_t i = 0; i < n; ++i) out[i] = 0;
    return;
  }
  std::size_t i = 0;
  for (; i + kVectors * kLanes <= n; i += kVectors * kLanes) {
    V sum[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v)
      sum[v] = *reinterpret_cast<const V*>(inputs[0] + i + v * kLanes);
    for (std::size_t k = 1; k < count; ++k)
      for (std::size_t v = 0; v < kVectors; ++v)
        sum[v] += *reinterpret_cast<const V*>(inputs[k] + i + v * kLanes);
    for (std::size_t v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(out + i + v * kLanes) = sum[v];
  }
  for (; i < n; ++i) {
    T sum = inputs[0][i];
    for (std::size_t k = 1; k < count; ++k) sum += inputs[k][i];
    out[i] = sum;
  }
}

float read_all(const float* data, std::size_t n) {
  constexpr std::size_t kSums = 8;
  F sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums * kWidth <= n; i += kSums * kWidth)
    for (std::size_t s = 0; s < kSums; ++s) sums[s] += load(data + i + s * kWidth);
  for (std::size_t s = 1; s < kSums; ++s) sums[0] += sums[s];
  float total = sum_lanes(sums[0]);
  for (; i < n; ++i) total += data[i];
  return total;
}

}  // namespace
}  // namespace lambdaml::tensor
