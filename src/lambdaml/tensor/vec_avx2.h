// Eight floats by AVX2 and FMA.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace lambdaml::tensor {
namespace {
constexpr std::size_t kWidth = 8;
}
}  // namespace lambdaml::tensor

#include "lambdaml/tensor/vec.h"

namespace lambdaml::tensor {
namespace {

inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
inline D fma(D a, D b, D c) { return _mm256_fmadd_pd(a, b, c); }

/// The first n ≤ kWidth lanes.
struct First {
  explicit First(std::size_t n)
      : mask(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))) {}
  __m256i mask;
};
/// Reads no byte beyond the n floats; the other lanes are 0.
inline F load(const float* p, First first) { return _mm256_maskload_ps(p, first.mask); }
inline void store(float* p, First first, F v) { _mm256_maskstore_ps(p, first.mask, v); }
inline F keep(First first, F v) { return _mm256_and_ps(_mm256_castsi256_ps(first.mask), v); }

/// Lane i of the result is the sum of the lanes of a[i].
inline F sum_each(const F (&a)[kWidth]) {
  F v[4];  // 128-bit half g of v[i]: four partial sums of a[i + 4 g]
  for (std::size_t i = 0; i < 4; ++i)
    v[i] = _mm256_blend_ps(a[i], a[i + 4], 0xf0) + _mm256_permute2f128_ps(a[i], a[i + 4], 0x21);
  const auto fold = [](F x, F y) {
    return _mm256_blend_ps(x, y, 0xcc) + _mm256_shuffle_ps(x, y, _MM_SHUFFLE(1, 0, 3, 2));
  };
  const F x = fold(v[0], v[1]);
  const F y = fold(v[2], v[3]);
  return _mm256_shuffle_ps(x, y, _MM_SHUFFLE(2, 0, 2, 0)) +
         _mm256_shuffle_ps(x, y, _MM_SHUFFLE(3, 1, 3, 1));
}

/// out[c · stride + i] = rows[i][c] for kWidth rows and 4 columns.
inline void transpose4(const float* const (&rows)[kWidth], std::size_t column, float* out,
                       std::size_t stride) {
  __m256 v[4];
  for (std::size_t j = 0; j < 4; ++j)
    v[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[j] + column)),
                                _mm_loadu_ps(rows[j + 4] + column), 1);
  const __m256d t0 = _mm256_castps_pd(_mm256_unpacklo_ps(v[0], v[1]));
  const __m256d t1 = _mm256_castps_pd(_mm256_unpackhi_ps(v[0], v[1]));
  const __m256d t2 = _mm256_castps_pd(_mm256_unpacklo_ps(v[2], v[3]));
  const __m256d t3 = _mm256_castps_pd(_mm256_unpackhi_ps(v[2], v[3]));
  store(out, _mm256_castpd_ps(_mm256_unpacklo_pd(t0, t2)));
  store(out + stride, _mm256_castpd_ps(_mm256_unpackhi_pd(t0, t2)));
  store(out + 2 * stride, _mm256_castpd_ps(_mm256_unpacklo_pd(t1, t3)));
  store(out + 3 * stride, _mm256_castpd_ps(_mm256_unpackhi_pd(t1, t3)));
}

}  // namespace
}  // namespace lambdaml::tensor
