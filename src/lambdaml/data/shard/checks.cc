#include "lambdaml/data/shard/checks.h"

#include <algorithm>
#include <bit>

namespace lambdaml::data::shard {
namespace {

/// Places where an index is not above the one before it.
template <class Index>
std::uint64_t count_falls(std::span<const Index> indices) {
  std::uint64_t falls = 0;
  // Counted in 16-bit pieces, which vectorize at the indices' own width.
  constexpr std::size_t kPiece = 32768;
  for (std::size_t begin = 1; begin < indices.size(); begin += kPiece) {
    const std::size_t end = std::min(indices.size(), begin + kPiece);
    Index piece = 0;
    for (std::size_t k = begin; k < end; ++k)
      piece = static_cast<Index>(piece + (indices[k] <= indices[k - 1] ? 1 : 0));
    falls += piece;
  }
  return falls;
}

template <class Index>
Index largest(std::span<const Index> indices) {
  Index most = 0;
  for (const Index index : indices) most = std::max(most, index);
  return most;
}

template <class Index>
bool ascend(std::span<const std::uint64_t> offsets, std::span<const Index> indices,
            std::uint64_t features) {
  if (indices.empty()) return true;
  if (largest(indices) >= features) return false;
  // An index may fall only from one row to the next: then all falls are falls between rows.
  std::uint64_t between_rows = 0;
  for (std::size_t r = 1; r < offsets.size(); ++r) {
    const std::uint64_t at = offsets[r];
    if (at != offsets[r - 1] && at < indices.size() && indices[at] <= indices[at - 1])
      ++between_rows;
  }
  return count_falls(indices) == between_rows;
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
  return ascend(offsets, indices, features);
}

bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint32_t> indices,
                    std::uint64_t features) {
  return ascend(offsets, indices, features);
}

bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t bad = 0;
  for (const float value : values)
    bad |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent ? 1U : 0U;
  return bad == 0;
}

}  // namespace lambdaml::data::shard
