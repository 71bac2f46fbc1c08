#include "lambdaml/data/hold_out.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"

namespace lambdaml::data {
namespace {

/// 64 KB, which a service transfers about as fast as an empty message.
constexpr std::uint64_t kMostSums = 8192;
/// Bins per row at which hardly any bin holds two rows.
constexpr std::uint64_t kBinsPerRow = 16;
constexpr std::size_t kKnown = std::numeric_limits<std::size_t>::max();

void require_ratio(double ratio) {
  if (!(ratio >= 0 && ratio <= 1))
    fail(Code::invalid_argument, "the share of rows held out must be from 0 to 1, not {}", ratio);
}

/// The keys of rows: mix() is a bijection, so different rows have different ones.
class Keys {
 public:
  explicit Keys(const RowsToHoldOut& own)
      : numbers_(own.numbers), stream_(mix({own.seed, 0x686f6c646f7574})) {}
  std::uint64_t of(std::uint64_t i) const { return mix(stream_ ^ numbers_.of(i)); }

 private:
  RowNumbers numbers_;
  std::uint64_t stream_;
};

/// The classes of a worker's rows, none of which may be beyond `classes`.
class Classes {
 public:
  Classes(const RowsToHoldOut& own, std::size_t classes) : classes_(own.classes) {
    if (!classes_.empty() && classes_.size() != own.rows)
      fail(Code::internal, "{} classes of {} rows", classes_.size(), own.rows);
    if (std::ranges::any_of(classes_,
                            [&](float c) { return !(c >= 0 && c < static_cast<float>(classes)); }))
      fail(Code::internal, "a row of a class beyond the {} there are", classes);
  }
  std::size_t of(std::uint64_t i) const {
    return classes_.empty() ? 0 : static_cast<std::size_t>(classes_[i]);
  }

 private:
  std::span<const float> classes_;
};

}  // namespace

std::uint64_t rows_to_hold_out(std::uint64_t rows, double ratio) {
  require_ratio(ratio);
  if (rows == 0) return 0;
  const double product = std::floor(static_cast<double>(rows) * ratio + 0.5 + 1e-9);
  return std::min(rows - 1, static_cast<std::uint64_t>(product));
}

HoldOutSearch::HoldOutSearch(std::size_t classes, double ratio, std::uint64_t rows)
    : ratio_(ratio),
      rows_(rows),
      unknown_(classes),
      lows_(classes),
      wanted_(classes),
      places_(classes) {
  require_ratio(ratio);
  for (std::size_t c = 0; c < classes; ++c) places_[c] = c;
  choose_bits();
}

void HoldOutSearch::choose_bits() {
  const std::uint64_t bins =
      std::min(kMostSums / std::max<std::uint64_t>(unknown_, 1), kBinsPerRow * rows_);
  step_bits_ =
      std::min(std::clamp(static_cast<unsigned>(std::bit_width(bins)), 3U, 17U) - 1U, 64U - bits_);
}

void HoldOutSearch::count(const RowsToHoldOut& own, std::span<double> sums) const {
  if (sums.size() != sums_count())
    fail(Code::internal, "{} sums for {}", sums.size(), sums_count());
  const Classes classes(own, lows_.size());
  const Keys keys(own);
  for (std::uint64_t i = 0; i < own.rows; ++i) {
    const std::size_t c = classes.of(i);
    if (places_[c] == kKnown) continue;
    const std::uint64_t above = keys.of(i) - lows_[c];  // wraps around below the interval
    if (bits_ > 0 && (above >> (64U - bits_)) != 0) continue;
    const std::uint64_t bin = (above << bits_) >> (64U - step_bits_);
    sums[(places_[c] << step_bits_) + bin] += 1;
  }
}

void HoldOutSearch::learn(std::span<const double> sums) {
  if (sums.size() != sums_count())
    fail(Code::internal, "{} sums for {}", sums.size(), sums_count());
  const std::size_t bins = std::size_t{1} << step_bits_;
  const unsigned width_bits = 64U - bits_ - step_bits_;  // of a bin
  std::size_t place = 0;
  for (std::size_t c = 0; c < lows_.size(); ++c) {
    if (places_[c] == kKnown) continue;
    const std::span<const double> own = sums.subspan(places_[c] * bins, bins);
    if (bits_ == 0) {
      double rows = 0;
      for (const double count : own) rows += count;
      wanted_[c] = rows_to_hold_out(static_cast<std::uint64_t>(rows), ratio_);
    }
    // Fewer are wanted than there are, so the bound lies in a bin, or where one begins.
    std::size_t bin = 0;
    while (bin < bins && wanted_[c] > 0 && own[bin] <= static_cast<double>(wanted_[c]))
      wanted_[c] -= static_cast<std::uint64_t>(own[bin++]);
    if (bin == bins) fail(Code::internal, "class {}: the counts of its rows do not fit", c);
    lows_[c] += static_cast<std::uint64_t>(bin) << width_bits;
    places_[c] = wanted_[c] == 0 ? kKnown : place++;
  }
  unknown_ = place;
  bits_ += step_bits_;
  if (unknown_ > 0 && bits_ == 64) fail(Code::internal, "two rows have the same number");
  choose_bits();
}

Arrangement arrange(const RowsToHoldOut& own, const HoldOutBounds& bounds) {
  return arrange(own, HoldOutRange{{}, bounds});
}

Arrangement arrange(const RowsToHoldOut& own, const HoldOutRange& range) {
  const HoldOutBounds from = range.from.empty() ? HoldOutBounds(range.to.size()) : range.from;
  if (own.rows >= (1ULL << 32))
    fail(Code::invalid_argument,
         "{} rows are too many to hold out some of them; use more workers or --valid-ratio 0",
         own.rows);
  const Classes classes(own, range.to.size());
  const Keys keys(own);
  Arrangement out;
  out.order.resize(own.rows);
  // The rows that are held out, from the back, are turned around at the end.
  std::uint64_t training = 0;
  std::uint64_t back = own.rows;
  for (std::uint64_t i = 0; i < own.rows; ++i) {
    const std::size_t c = classes.of(i);
    const bool is_held_out = keys.of(i) - from[c] < range.to[c] - from[c];  // a `to` of 0 is 2^64
    out.order[is_held_out ? --back : training++] = static_cast<std::uint32_t>(i);
  }
  std::reverse(out.order.begin() + static_cast<std::ptrdiff_t>(training), out.order.end());
  out.training_rows = training;
  return out;
}

}  // namespace lambdaml::data
