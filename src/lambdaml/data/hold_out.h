#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/data/partition.h"

/// Which rows are held out for validation.
///
/// Of a class of n rows, ⌊ratio · n⌉ are held out (halves are rounded up), but one row at least is
/// left for training. They are those with the smallest keys: a row's key is a hash of the seed and
/// of the row's number in the whole set. So the rows of a class are equally likely to be held out,
/// wherever they lie in the file, and the choice does not depend on how the set is cut: each worker
/// only has to know the numbers of its own rows and, for each class, the bound below which keys are
/// held out.
///
/// All workers find the bounds together, as in a radix sort: they add up how many rows of a class
/// have each value of the keys' highest bits; the bound lies in one of these bins, whose rows are
/// counted again by the next bits, until no bin is divided. The keys of different rows differ, so
/// that the counts are exact. Two merges of at most 64 KB suffice for most sets of two classes and
/// up to 10 million rows, four for a thousand classes.
namespace lambdaml::data {

/// One per class: rows whose key is below it are held out.
using HoldOutBounds = std::vector<std::uint64_t>;

/// A worker's own rows, for a HoldOutSearch.
struct RowsToHoldOut {
  std::uint64_t rows = 0;
  RowNumbers numbers;
  std::span<const float> classes;  ///< the class number of each row; empty: all are of class 0
  std::uint64_t seed = 0;
};

/// ⌊ratio · rows⌉, but less than `rows`. A decimal ratio counts as it was written (0.35 of 10 is
/// 3.5). Throws invalid_argument unless the ratio is from 0 to 1.
std::uint64_t rows_to_hold_out(std::uint64_t rows, double ratio);

/// The search for the bounds. All workers alternate between count() and learn(), with the sums over
/// all workers in between, until found(). Used by one thread.
class HoldOutSearch {
 public:
  /// `rows`: of all workers. Throws invalid_argument for a ratio that is none.
  HoldOutSearch(std::size_t classes, double ratio, std::uint64_t rows);

  bool found() const { return unknown_ == 0; }
  /// The length of the sums of the next step.
  std::size_t sums_count() const { return unknown_ << step_bits_; }
  /// Adds the worker's own rows. One pass over them, about a nanosecond each.
  void count(const RowsToHoldOut& own, std::span<double> sums) const;
  void learn(std::span<const double> sums);

  /// Once they are found.
  const HoldOutBounds& bounds() const { return lows_; }

 private:
  void choose_bits();

  double ratio_;
  std::uint64_t rows_;
  unsigned bits_ = 0;       ///< of the bounds that are known
  unsigned step_bits_ = 0;  ///< that the next step finds
  std::size_t unknown_ = 0;
  HoldOutBounds lows_;                 ///< the bound lies in [low, low + 2^(64 − bits_))
  std::vector<std::uint64_t> wanted_;  ///< rows to hold out in this interval
  std::vector<std::size_t> places_;    ///< among the classes of unknown bounds; or kKnown
};

/// The bounds of one part of a cross-validation: of each class, the rows whose keys are in
/// [from, to), where a `to` of 0 is above all keys. Without `from`, those below `to`.
struct HoldOutRange {
  HoldOutBounds from;  ///< may be empty
  HoldOutBounds to;
};

/// The worker's own rows in the order training rows, then rows that are held out; both ascend.
struct Arrangement {
  std::vector<std::uint32_t> order;
  std::uint64_t training_rows = 0;
};
/// Throws invalid_argument for 2^32 rows or more.
Arrangement arrange(const RowsToHoldOut& own, const HoldOutBounds& bounds);
Arrangement arrange(const RowsToHoldOut& own, const HoldOutRange& range);

}  // namespace lambdaml::data
