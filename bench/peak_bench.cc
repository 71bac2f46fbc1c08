// What the processor's units for products can do at most, which deep models are measured against.
#include <cstdint>

#include "bench/shapes.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lambdaml::bench {
namespace {

constexpr std::size_t kSteps = 1'000'000;
constexpr std::size_t kChains = 12;  ///< independent sums, more than a product takes steps

/// A value is an operation: a product and a sum are two.
void add_unit(const std::string& name, std::size_t per_step, void (*run)()) {
  add("deep/peak/" + name, [per_step, run](std::size_t threads) {
    over_blocks(threads, threads, [&](std::size_t, std::size_t, std::size_t) { run(); });
    return Work{kSteps * per_step * threads, kSteps * per_step * threads};
  });
}

/// One sum that depends on the one before, so a step is a cycle.
void cycles() {
  std::uint64_t sum = 0;
#if defined(__x86_64__)
  for (std::size_t i = 0; i < kSteps / 10; ++i)
    asm volatile(
        "add %1, %0\n add %1, %0\n add %1, %0\n add %1, %0\n add %1, %0\n"
        "add %1, %0\n add %1, %0\n add %1, %0\n add %1, %0\n add %1, %0\n"
        : "+r"(sum)
        : "r"(i));
#endif
  benchmark::DoNotOptimize(sum);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) void fma_avx512() {
  __m512 sums[kChains] = {};
  const __m512 x = _mm512_set1_ps(0.5F);
  for (std::size_t i = 0; i < kSteps; ++i)
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(sum, x, x);
      asm volatile("" : "+v"(sum));
    }
}

__attribute__((target("avx2,fma"))) void fma_avx2() {
  __m256 sums[kChains] = {};
  const __m256 x = _mm256_set1_ps(0.5F);
  for (std::size_t i = 0; i < kSteps; ++i)
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(sum, x, x);
      asm volatile("" : "+x"(sum));
    }
}

__attribute__((target("avx512f,avx512bf16"))) void dot_bf16() {
  __m512 sums[kChains] = {};
  const auto x = reinterpret_cast<__m512bh>(_mm512_set1_ps(0.5F));
  for (std::size_t i = 0; i < kSteps; ++i)
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, x, x);
      asm volatile("" : "+v"(sum));
    }
}
#endif

}  // namespace

void add_peak() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    add_unit("fma", kChains * 32, fma_avx512);
  else if (__builtin_cpu_supports("fma"))
    add_unit("fma", kChains * 16, fma_avx2);
  if (__builtin_cpu_supports("avx512bf16")) add_unit("bf16", kChains * 64, dot_bf16);
  add_unit("cycles", 1, cycles);
#else
  (void)cycles;
#endif
}

}  // namespace lambdaml::bench
