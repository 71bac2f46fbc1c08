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

/// A random order in which part `part` visits its rows, drawn from the seed: files are often sorted
/// by label, and batches of one class teach nothing. Row `order[k]` is the k-th.
///
/// In a modulo cut, stripes of 28 consecutive rows of the whole set (or of the next multiple of 28
/// that the number of parts n divides) are put in random order and keep their inside. Every worker
/// moves its share of a stripe alike, so the workers' k-th rows together are the whole set in one
/// shuffled order that does not depend on n where n divides 28 (1, 2, 4, 7, 14): then n workers
/// with batches of B still see together what one sees with batches of n · B. The rows after the
/// last whole stripe stay at the end. Parts of another cut are shuffled row by row. Throws
/// invalid_argument for a part of 2^32 rows or more.
std::vector<std::uint32_t> visiting_order(std::span<const std::uint64_t> part_rows,
                                          std::size_t part, std::uint64_t seed);

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
