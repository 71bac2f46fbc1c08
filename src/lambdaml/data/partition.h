#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lambdaml::data {

/// The numbers in the whole set of one part's rows: its row i is row first + i · stride.
struct RowNumbers {
  std::uint64_t first = 0;
  std::uint64_t stride = 1;
  std::uint64_t of(std::uint64_t i) const { return first + i * stride; }
};
/// Unless they are known to be `in_order`, parts that are as large as those of a modulo cut (as
/// `split` makes it) are taken for one: part i has the rows i, i + n, …. Any other part has
/// consecutive rows, which follow those of the part before it.
RowNumbers row_numbers(std::span<const std::uint64_t> part_rows, std::size_t part,
                       bool in_order = false);

/// How many of each worker's first rows in its visiting_order() jobs of the versions tail_last and
/// tail_mixed use for training; the rest are held out for validation (newer jobs: hold_out.h). If
/// the parts are a modulo cut (as `split` makes them), the held-out rows are the last ⌊ratio ·
/// rows⌋ of the whole set, the same ones for every number of workers; otherwise each part holds out
/// its own last ⌊ratio · rows⌋. At least one row in all is left for training.
std::vector<std::uint64_t> training_rows(std::span<const std::uint64_t> part_rows, double ratio);

/// How a job holds out rows, and in which order it visits the others. A resumed job keeps the
/// version that it began with, because another would move rows between training and validation.
enum class OrderVersion : std::uint64_t {
  tail_last = 1,  ///< the rows after the last whole stripe stay at the end, where rows are held out
  tail_mixed = 2,  ///< these rows are exchanged with rows of all stripes
  reshuffled = 3,  ///< rows are held out by class, and the others reshuffled in every pass
};

/// A random order of the training rows 0 … rows − 1 of part `part` in one pass: every order is
/// equally likely, and the same on every platform. Throws invalid_argument for 2^32 rows or more.
std::vector<std::uint32_t> pass_order(std::uint64_t rows, std::size_t part, std::uint64_t seed,
                                      std::uint64_t epoch, std::uint64_t pass);

/// The random order in which part `part` of a job of an older version visits its rows in every
/// epoch, drawn from the seed: files are often sorted
/// by label, and batches of one class teach nothing. Row `order[k]` is the k-th. Wherever the order
/// is cut, the rows behind the cut (those held out for validation) are drawn from all rows.
///
/// In a modulo cut, stripes of 28 consecutive rows of the whole set are put in random order, each
/// unchanged inside; each row after the last whole stripe is exchanged with the row at the same
/// position of a random stripe, or stays. Every worker moves its share of a stripe in the same way,
/// so the workers' k-th rows together are the whole set in one shuffled order that does not depend
/// on their number n if n divides 28 (1, 2, 4, 7, 14, 28): then n workers with batches of B
/// together see what one worker sees with batches of n · B. A set of fewer than 112 rows has
/// stripes of 4 rows, one of fewer than 16 rows stripes of 1, and for any other n a stripe is n
/// rows. Parts of another cut are shuffled row by row.
///
/// Version tail_last has stripes of the least common multiple of 28 and n rows. Throws
/// invalid_argument for a part of 2^32 rows or more.
std::vector<std::uint32_t> visiting_order(std::span<const std::uint64_t> part_rows,
                                          std::size_t part, std::uint64_t seed,
                                          OrderVersion version);

/// Rounds of one pass: ⌈the largest part / batch⌉, so that unequal parts agree. A worker that has
/// run out of rows takes part with none.
std::uint64_t rounds_per_pass(std::span<const std::uint64_t> training_rows, std::uint64_t batch);

/// The rows of one part in round `round`: [begin, end), empty if they have run out.
struct RowRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - begin; }
};
RowRange batch_rows(std::uint64_t part_rows, std::uint64_t batch, std::uint64_t round);

/// The rounds of one pass over the training rows of all workers, and each worker's batches. Batches
/// have `batch` rows; where the last one of the largest part would have less than half of that, the
/// last two share their rows, because a step along the gradient of a few rows spoils the model.
/// (Not so in jobs of the versions before `reshuffled`.)
class PassRounds {
 public:
  PassRounds() = default;
  PassRounds(std::span<const std::uint64_t> training_rows, std::uint64_t batch,
             OrderVersion version);

  std::uint64_t count() const { return count_; }
  /// The batch of a part with so many training rows: at most `batch` rows.
  RowRange of(std::uint64_t training_rows, std::uint64_t round) const;

 private:
  std::uint64_t count_ = 0;
  std::uint64_t batch_ = 1;
  std::uint64_t tail_ = 0;        ///< the first of the last two rounds, if they share rows
  std::uint64_t tail_batch_ = 0;  ///< their rows; 0 if they do not
};

}  // namespace lambdaml::data
