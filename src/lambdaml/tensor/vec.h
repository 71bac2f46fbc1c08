// The part of the vector abstraction that the compilers' vector extension provides for any width.
// Included by vec_portable.h, vec_avx2.h and vec_avx512.h, which define kWidth before and the
// operations that need special instructions after it. Everything is in an unnamed namespace: see
// kernel_table.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lambdaml::tensor {
namespace {

using F = float __attribute__((vector_size(kWidth * sizeof(float))));
using I = std::int32_t __attribute__((vector_size(kWidth * sizeof(float))));
// A typedef, because clang drops the alignment from an alias.
typedef float UnalignedF
    __attribute__((vector_size(kWidth * sizeof(float)), aligned(alignof(float)), may_alias));

/// The number of vectors that hold that many floats.
constexpr std::size_t vectors_of(std::size_t floats) { return (floats + kWidth - 1) / kWidth; }

inline F load(const float* p) { return *reinterpret_cast<const UnalignedF*>(p); }
inline void store(float* p, F v) { *reinterpret_cast<UnalignedF*>(p) = v; }
inline F broadcast(float x) { return x - F{}; }
inline void store(std::uint32_t* p, I v) { __builtin_memcpy(p, &v, sizeof v); }
/// When either is a NaN: b.
inline F max(F a, F b) { return a > b ? a : b; }
inline F min(F a, F b) { return a < b ? a : b; }

/// Prefetches the `bytes` that begin `ahead` bytes after p into the second-level cache; they may
/// lie outside any object. The processors' own prefetchers stop at the end of a page and while
/// other operations than loads keep the registers busy: without this, a pass over 28 columns took
/// 1.6 times as long, one over sparse rows 1.2 times.
inline void prefetch(const void* p, std::size_t bytes, std::size_t ahead) {
  constexpr std::size_t kLine = 64;
  const char* from = static_cast<const char*>(p) + ahead;
  for (std::size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(from + at, 0, 2);
}

/// p · 2^n, where t = n + 1.5 · 2^23 holds the integer n in its low bits.
inline F scale(F p, F t) {
  return reinterpret_cast<F>(reinterpret_cast<I>(p) + (reinterpret_cast<I>(t) << 23));
}

/// The sum of the lanes: halves are added until one lane is left.
inline float sum_lanes(F v) {
  float lane[kWidth];
  store(lane, v);
  for (std::size_t step = kWidth / 2; step != 0; step /= 2)
    for (std::size_t i = 0; i < step; ++i) lane[i] += lane[i + step];
  return lane[0];
}

using D = double __attribute__((vector_size(kWidth * sizeof(float))));
constexpr std::size_t kDoubles = kWidth / 2;

inline D load(const double* p) {
  D v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(double* p, D v) { __builtin_memcpy(p, &v, sizeof v); }
inline D max(D a, D b) { return a > b ? a : b; }

/// The sum of the lanes, the halves first.
inline double sum_lanes(D v) {
  using Half = double __attribute__((vector_size(sizeof(D) / 2)));
  struct {
    Half low;
    Half high;
  } halves;
  __builtin_memcpy(&halves, &v, sizeof v);
  const Half half = halves.low + halves.high;
  double sum = half[0];
  for (std::size_t i = 1; i < kDoubles / 2; ++i) sum += half[i];
  return sum;
}

/// kWidth floats as doubles; a running sum of such.
struct Doubles {
  using Half = float __attribute__((vector_size(kWidth * sizeof(float) / 2)));
  D low{};
  D high{};

  void add(F v) {
    const Doubles w = widen(v);
    low += w.low;
    high += w.high;
  }
  void add_product(F a, F b) {
    const Doubles x = widen(a);
    const Doubles y = widen(b);
    low += x.low * y.low;
    high += x.high * y.high;
  }
  /// to[i] += v[i] for kWidth doubles.
  static void add_to(double* to, F v) {
    Doubles all;
    __builtin_memcpy(&all.low, to, sizeof all.low);
    __builtin_memcpy(&all.high, to + kWidth / 2, sizeof all.high);
    all.add(v);
    __builtin_memcpy(to, &all.low, sizeof all.low);
    __builtin_memcpy(to + kWidth / 2, &all.high, sizeof all.high);
  }
  double sum() const {
    double total = 0;
    const D both = low + high;
    for (std::size_t i = 0; i < kDoubles; ++i) total += both[i];
    return total;
  }
  static Doubles widen(F v) {
    struct Halves {
      Half low;
      Half high;
    } halves;
    __builtin_memcpy(&halves, &v, sizeof v);
    Doubles out;
    out.low = __builtin_convertvector(halves.low, D);
    out.high = __builtin_convertvector(halves.high, D);
    return out;
  }
};

}  // namespace
}  // namespace lambdaml::tensor
