#include "lambdaml/data/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"

namespace lambdaml::data {
namespace {

/// How many of `rows` rows part i of n gets: those with r mod n = i.
std::uint64_t rows_of_part(std::uint64_t rows, std::uint64_t i, std::uint64_t n) {
  return rows > i ? (rows - i - 1) / n + 1 : 0;
}

/// ⌊ratio · rows⌋, where a decimal ratio counts as it was written (0.29 of 100 is 29).
std::uint64_t held_out(std::uint64_t rows, double ratio) {
  const double product = std::floor(static_cast<double>(rows) * ratio + 1e-9);
  return std::min(rows, static_cast<std::uint64_t>(product));
}

std::uint64_t sum(std::span<const std::uint64_t> part_rows) {
  return std::accumulate(part_rows.begin(), part_rows.end(), std::uint64_t{0});
}

bool is_modulo_cut(std::span<const std::uint64_t> part_rows) {
  const std::uint64_t n = part_rows.size();
  const std::uint64_t rows = sum(part_rows);
  for (std::uint64_t i = 0; i < n; ++i)
    if (part_rows[i] != rows_of_part(rows, i, n)) return false;
  return true;
}

/// A random order of 0 … n − 1 (Fisher and Yates).
std::vector<std::uint32_t> permutation(std::uint64_t n, Rng rng) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  for (std::uint64_t i = n; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

void require_countable(std::uint64_t rows, std::size_t part) {
  if (rows >= (1ULL << 32))
    fail(Code::invalid_argument,
         "part {}: {} rows are too many to shuffle; use more workers or --no-shuffle", part, rows);
}

std::uint64_t stripe_rows(std::uint64_t rows, std::uint64_t n, OrderVersion version) {
  constexpr std::uint64_t kStripe = 28;
  if (version == OrderVersion::tail_last) return std::lcm(kStripe, n);
  return rows >= 4 * kStripe ? kStripe : rows >= 16 ? 4 : 1;
}

}  // namespace

RowNumbers row_numbers(std::span<const std::uint64_t> part_rows, std::size_t part, bool in_order) {
  if (!in_order && is_modulo_cut(part_rows)) return {part, part_rows.size()};
  return {sum(part_rows.first(part)), 1};
}

std::vector<std::uint32_t> pass_order(std::uint64_t rows, std::size_t part, std::uint64_t seed,
                                      std::uint64_t epoch, std::uint64_t pass) {
  constexpr std::uint64_t kStream = 0x70617373;
  require_countable(rows, part);
  return permutation(rows, Rng(mix({seed, kStream, part, epoch, pass})));
}

std::vector<std::uint32_t> visiting_order(std::span<const std::uint64_t> part_rows,
                                          std::size_t part, std::uint64_t seed,
                                          OrderVersion version) {
  constexpr std::uint64_t kStream = 0x6f72646572;
  constexpr std::uint64_t kTail = 0x7461696c;
  const std::uint64_t own = part_rows[part];
  require_countable(own, part);
  const std::uint64_t n = part_rows.size();
  const std::uint64_t rows = sum(part_rows);
  const std::uint64_t stripe = stripe_rows(rows, n, version);
  if (stripe % n != 0 || !is_modulo_cut(part_rows))
    return permutation(own, Rng(mix({seed, kStream, part})));
  const std::uint64_t stripes = rows / stripe;
  const std::uint64_t share = stripe / n;
  std::vector<std::uint32_t> order;
  order.reserve(own);
  for (const std::uint32_t s : permutation(stripes, Rng(mix({seed, kStream}))))
    for (std::uint64_t i = 0; i < share; ++i)
      order.push_back(static_cast<std::uint32_t>(s * share + i));
  const std::uint64_t tail = order.size();
  while (order.size() < own) order.push_back(static_cast<std::uint32_t>(order.size()));
  if (version == OrderVersion::tail_last) return order;
  // The i-th row of the tail is row i · n + part of the tail in the whole set; the exchange is
  // drawn by that number, so it is the same for every number of workers. Rows at the same position
  // of their stripes belong to one worker.
  for (std::uint64_t i = 0; tail + i < own; ++i) {
    const std::uint64_t with = Rng(mix({seed, kStream, kTail, i * n + part})).below(stripes + 1);
    if (with < stripes) std::swap(order[tail + i], order[with * share + i]);
  }
  return order;
}

std::vector<std::uint64_t> training_rows(std::span<const std::uint64_t> part_rows, double ratio) {
  if (!(ratio >= 0 && ratio <= 1))
    fail(Code::invalid_argument, "the share of rows held out must be from 0 to 1, not {}", ratio);
  const std::uint64_t n = part_rows.size();
  const std::uint64_t rows = sum(part_rows);
  std::vector<std::uint64_t> out(n);
  if (is_modulo_cut(part_rows)) {
    const std::uint64_t kept =
        std::max(rows - held_out(rows, ratio), std::min<std::uint64_t>(rows, 1));
    for (std::uint64_t i = 0; i < n; ++i) out[i] = rows_of_part(kept, i, n);
    return out;
  }
  for (std::uint64_t i = 0; i < n; ++i) out[i] = part_rows[i] - held_out(part_rows[i], ratio);
  if (std::all_of(out.begin(), out.end(), [](std::uint64_t r) { return r == 0; })) {
    const auto filled =
        std::find_if(part_rows.begin(), part_rows.end(), [](std::uint64_t r) { return r != 0; });
    if (filled != part_rows.end()) out[static_cast<std::size_t>(filled - part_rows.begin())] = 1;
  }
  return out;
}

std::uint64_t rounds_per_pass(std::span<const std::uint64_t> training_rows, std::uint64_t batch) {
  if (batch == 0) fail(Code::invalid_argument, "a batch needs at least one row");
  std::uint64_t largest = 0;
  for (const std::uint64_t rows : training_rows) largest = std::max(largest, rows);
  return largest / batch + (largest % batch != 0 ? 1 : 0);
}

RowRange batch_rows(std::uint64_t part_rows, std::uint64_t batch, std::uint64_t round) {
  if (batch == 0) fail(Code::invalid_argument, "a batch needs at least one row");
  if (round > part_rows / batch) return {part_rows, part_rows};
  const std::uint64_t begin = round * batch;
  return {begin, begin + std::min(batch, part_rows - begin)};
}

PassRounds::PassRounds(std::span<const std::uint64_t> training_rows, std::uint64_t batch,
                       OrderVersion version)
    : count_(rounds_per_pass(training_rows, batch)), batch_(batch) {
  if (count_ < 2 || version < OrderVersion::reshuffled) return;
  const std::uint64_t rest = *std::ranges::max_element(training_rows) - (count_ - 1) * batch;
  if (rest >= batch - rest) return;
  tail_ = count_ - 2;
  tail_batch_ = (batch + rest + 1) / 2;
}

RowRange PassRounds::of(std::uint64_t training_rows, std::uint64_t round) const {
  if (tail_batch_ == 0 || round < tail_) return batch_rows(training_rows, batch_, round);
  const std::uint64_t begin =
      std::min(training_rows, tail_ * batch_ + (round - tail_) * tail_batch_);
  return {begin, std::min(training_rows, begin + tail_batch_)};
}

}  // namespace lambdaml::data
