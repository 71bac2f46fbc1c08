#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lambdaml::data {

/// How many of each worker's first rows are trained on; the rest are held out for validation. When
/// the parts are a modulo cut (as `split` makes them) the held-out rows are the last
/// ⌊ratio · rows⌋ of the whole set, the same ones for every number of workers; otherwise
/// each part holds out its own last ⌊ratio · rows⌋. At least one row in all is left for training.
std::vector<std::uint64_t> training_rows(std::span<const std::uint64_t> part_rows, double ratio);

/// Rounds of one pass: ⌈the largest part / batch⌉, so that unequal parts agree on it. A worker
/// whose rows have run out takes part with none.
std::uint64_t rounds_per_pass(std::span<const std::uint64_t> training_rows, std::uint64_t batch);

/// Rows of one part in round `round`: [begin, end), empty when they have run out.
struct RowRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - begin; }
};
RowRange batch_rows(std::uint64_t part_rows, std::uint64_t batch, std::uint64_t round);

}  // namespace lambdaml::data
