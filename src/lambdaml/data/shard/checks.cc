#include "lambdaml/data/shard/checks.h"

#include <algorithm>
#include <bit>

namespace lambdaml::data::shard {
namespace {

/// How many of indices[begin, end) do not exceed their predecessor; begin > 0, and at most 65,535
/// of them, so that 16-bit counters suffice, which vectorize at the width of narrow indices.
template <class Index>
[[gnu::always_inline]] inline std::uint64_t count_falls(const Index* indices, std::size_t begin,
                                                        std::size_t end) {
  Index falls = 0;
  for (std::size_t k = begin; k < end; ++k)
    falls = static_cast<Index>(falls + (indices[k] <= indices[k - 1] ? 1 : 0));
  return falls;
}

template <class Index>
[[gnu::always_inline]] inline bool ascend(std::span<const std::uint64_t> offsets,
                                          std::span<const Index> indices, std::uint64_t features) {
  // Indices may only decrease from one row to the next, so the number of decreases must equal that
  // between rows. If indices ascend, a row's last one is its largest. Both are checked piece by
  // piece, while the piece is in the cache.
  constexpr std::size_t kPiece = 32768;
  const std::size_t first = offsets.front();
  const std::size_t last = offsets.back();
  std::uint64_t beyond = 0;
  std::size_t r = 1;
  for (std::size_t begin = first; begin < last; begin += kPiece) {
    const std::size_t end = std::min(last, begin + kPiece);
    std::uint64_t falls = count_falls(indices.data(), std::max(begin, first + 1), end);
    for (; r < offsets.size() && offsets[r] < end; ++r) {
      const std::uint64_t at = offsets[r];
      if (at == offsets[r - 1]) continue;
      beyond |= indices[at - 1] >= features ? 1 : 0;
      falls -= indices[at] <= indices[at - 1] ? 1 : 0;
    }
    if (falls != 0) return false;
  }
  return beyond == 0 && (first == last || indices[last - 1] < features);
}

[[gnu::always_inline]] inline bool finite(std::span<const float> values) {
  // Adding one to an exponent of all ones carries into the sign bit.
  constexpr std::uint32_t kOneExponent = 0x00800000;
  std::uint32_t carries = 0;
  for (const float value : values)
    carries |= (std::bit_cast<std::uint32_t>(value) & 0x7fffffffU) + kOneExponent;
  return carries >> 31 == 0;
}

// The same loops compiled for processors with wider registers, selected by a plain branch.
#if defined(__x86_64__)
bool wide_registers() {
  static const bool have = __builtin_cpu_supports("avx2") != 0;
  return have;
}
template <class Index>
[[gnu::target("avx2")]] bool wide_ascend(std::span<const std::uint64_t> offsets,
                                         std::span<const Index> indices, std::uint64_t features) {
  return ascend(offsets, indices, features);
}
[[gnu::target("avx2")]] bool wide_finite(std::span<const float> values) { return finite(values); }
#else
constexpr bool wide_registers() { return false; }
template <class Index>
bool wide_ascend(std::span<const std::uint64_t> offsets, std::span<const Index> indices,
                 std::uint64_t features) {
  return ascend(offsets, indices, features);
}
bool wide_finite(std::span<const float> values) { return finite(values); }
#endif

template <class Index>
bool indices_ascend_in(std::span<const std::uint64_t> offsets, std::span<const Index> indices,
                       std::uint64_t features) {
  return wide_registers() ? wide_ascend(offsets, indices, features)
                          : ascend(offsets, indices, features);
}

}  // namespace

bool offsets_partition(std::span<const std::uint64_t> offsets, std::uint64_t entries) {
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != entries) return false;
  std::uint64_t falls = 0;
  for (std::size_t r = 1; r < offsets.size(); ++r) falls |= offsets[r] < offsets[r - 1] ? 1 : 0;
  return falls == 0;
}

bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint16_t> indices,
                    std::uint64_t features) {
  return indices_ascend_in(offsets, indices, features);
}

bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint32_t> indices,
                    std::uint64_t features) {
  return indices_ascend_in(offsets, indices, features);
}

bool all_finite(std::span<const float> values) {
  return wide_registers() ? wide_finite(values) : finite(values);
}

}  // namespace lambdaml::data::shard
