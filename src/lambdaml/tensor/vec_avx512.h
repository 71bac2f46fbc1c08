// Sixteen floats by AVX-512 (F, DQ, BW, VL).
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace lambdaml::tensor {
namespace {
constexpr std::size_t kWidth = 16;
}
}  // namespace lambdaml::tensor

#include "lambdaml/tensor/vec.h"

namespace lambdaml::tensor {
namespace {

inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
inline D fma(D a, D b, D c) { return _mm512_fmadd_pd(a, b, c); }

/// The first n ≤ kWidth lanes.
struct First {
  explicit First(std::size_t n) : mask(static_cast<__mmask16>((1U << n) - 1)) {}
  __mmask16 mask;
};
/// Reads no byte beyond the n floats; the other lanes are 0.
inline F load(const float* p, First first) { return _mm512_maskz_loadu_ps(first.mask, p); }
inline void store(float* p, First first, F v) { _mm512_mask_storeu_ps(p, first.mask, v); }
inline F keep(First first, F v) { return _mm512_maskz_mov_ps(first.mask, v); }

/// Lane i of the result is the sum of the lanes of a[i].
inline F sum_each(const F (&a)[kWidth]) {
  // Each step adds a part of a vector to the adjacent one and packs two vectors into one: a blend
  // takes the parts that are in place, one shuffle those that must move.
  F h[8];  // 256-bit half g of h[i]: eight partial sums of a[i + 8 g]
  for (std::size_t i = 0; i < 8; ++i)
    h[i] =
        _mm512_mask_blend_ps(0xff00, a[i], a[i + 8]) + _mm512_shuffle_f32x4(a[i], a[i + 8], 0x4e);
  const __m512i swapped =
      _mm512_setr_epi32(4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 24, 25, 26, 27);
  F v[4];  // 128-bit quarter g of v[i]: four partial sums of a[i + 4 g]
  for (std::size_t i = 0; i < 4; ++i)
    v[i] = _mm512_mask_blend_ps(0xf0f0, h[i], h[i + 4]) +
           _mm512_permutex2var_ps(h[i], swapped, h[i + 4]);
  const auto fold = [](F x, F y) {
    return _mm512_mask_blend_ps(0xcccc, x, y) + _mm512_shuffle_ps(x, y, _MM_SHUFFLE(1, 0, 3, 2));
  };
  const F x = fold(v[0], v[1]);
  const F y = fold(v[2], v[3]);
  return _mm512_shuffle_ps(x, y, _MM_SHUFFLE(2, 0, 2, 0)) +
         _mm512_shuffle_ps(x, y, _MM_SHUFFLE(3, 1, 3, 1));
}

/// out[c · stride + i] = rows[i][c] for kWidth rows and 4 columns.
inline void transpose4(const float* const (&rows)[kWidth], std::size_t column, float* out,
                       std::size_t stride) {
  __m512 v[4];
  for (std::size_t j = 0; j < 4; ++j) {
    v[j] = _mm512_castps128_ps512(_mm_loadu_ps(rows[j] + column));
    v[j] = _mm512_insertf32x4(v[j], _mm_loadu_ps(rows[j + 4] + column), 1);
    v[j] = _mm512_insertf32x4(v[j], _mm_loadu_ps(rows[j + 8] + column), 2);
    v[j] = _mm512_insertf32x4(v[j], _mm_loadu_ps(rows[j + 12] + column), 3);
  }
  const __m512d t0 = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1]));
  const __m512d t1 = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
  const __m512d t2 = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3]));
  const __m512d t3 = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
  store(out, _mm512_castpd_ps(_mm512_unpacklo_pd(t0, t2)));
  store(out + stride, _mm512_castpd_ps(_mm512_unpackhi_pd(t0, t2)));
  store(out + 2 * stride, _mm512_castpd_ps(_mm512_unpacklo_pd(t1, t3)));
  store(out + 3 * stride, _mm512_castpd_ps(_mm512_unpackhi_pd(t1, t3)));
}

}  // namespace
}  // namespace lambdaml::tensor
