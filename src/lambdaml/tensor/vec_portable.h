// Four floats by the compilers' vector extension: SSE2 on x86-64, NEON on arm64.
#pragma once

#include <cstddef>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace lambdaml::tensor {
namespace {
constexpr std::size_t kWidth = 4;
}
}  // namespace lambdaml::tensor

#include "lambdaml/tensor/vec.h"

namespace lambdaml::tensor {
namespace {

#if defined(__aarch64__)
inline F fma(F a, F b, F c) {
  return reinterpret_cast<F>(vfmaq_f32(reinterpret_cast<float32x4_t>(c),
                                       reinterpret_cast<float32x4_t>(a),
                                       reinterpret_cast<float32x4_t>(b)));
}
inline F fnma(F a, F b, F c) { return fma(-a, b, c); }
inline D fma(D a, D b, D c) {
  return reinterpret_cast<D>(vfmaq_f64(reinterpret_cast<float64x2_t>(c),
                                       reinterpret_cast<float64x2_t>(a),
                                       reinterpret_cast<float64x2_t>(b)));
}
#else
inline F fma(F a, F b, F c) { return a * b + c; }
inline F fnma(F a, F b, F c) { return c - a * b; }
inline D fma(D a, D b, D c) { return a * b + c; }
#endif

/// The first n ≤ kWidth lanes.
struct First {
  explicit First(std::size_t lanes) : n(lanes) {}
  std::size_t n;
};
/// Reads no byte beyond the n floats; the other lanes are 0.
inline F load(const float* p, First first) {
  if (first.n >= kWidth) return load(p);
  float lane[kWidth] = {};
  for (std::size_t i = 0; i < first.n; ++i) lane[i] = p[i];
  return load(lane);
}
inline void store(float* p, First first, F v) {
  for (std::size_t i = 0; i < first.n; ++i) p[i] = v[i];
}
inline F keep(First first, F v) {
  const I lane = {0, 1, 2, 3};
  return lane < static_cast<std::int32_t>(first.n) ? v : F{};
}

/// Lane i of the result is the sum of the lanes of a[i].
inline F sum_each(const F (&a)[kWidth]) {
  const auto fold = [](F x, F y) {  // x02 x13 y02 y13
    return __builtin_shufflevector(x, y, 0, 1, 4, 5) + __builtin_shufflevector(x, y, 2, 3, 6, 7);
  };
  const F x = fold(a[0], a[1]);
  const F y = fold(a[2], a[3]);
  return __builtin_shufflevector(x, y, 0, 2, 4, 6) + __builtin_shufflevector(x, y, 1, 3, 5, 7);
}

/// out[c · stride + i] = rows[i][c] for kWidth rows and 4 columns.
inline void transpose4(const float* const (&rows)[kWidth], std::size_t column, float* out,
                       std::size_t stride) {
  F v[4];
  for (std::size_t j = 0; j < 4; ++j) v[j] = load(rows[j] + column);
  const F t0 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
  const F t1 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
  const F t2 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const F t3 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  store(out, __builtin_shufflevector(t0, t2, 0, 1, 4, 5));
  store(out + stride, __builtin_shufflevector(t0, t2, 2, 3, 6, 7));
  store(out + 2 * stride, __builtin_shufflevector(t1, t3, 0, 1, 4, 5));
  store(out + 3 * stride, __builtin_shufflevector(t1, t3, 2, 3, 6, 7));
}

}  // namespace
}  // namespace lambdaml::tensor
