#include "lambdaml/data/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

/// Of `rows` rows, those that part i of n gets: r mod n = i.
std::uint64_t rows_of_part(std::uint64_t rows, std::uint64_t i, std::uint64_t n) {
  return rows > i ? (rows - i - 1) / n + 1 : 0;
}

/// ⌊ratio · rows⌋; a ratio typed in decimals counts as what was meant (0.29 of 100 is 29).
std::uint64_t held_out(std::uint64_t rows, double ratio) {
  const double product = std::floor(static_cast<double>(rows) * ratio + 1e-9);
  return std::min(rows, static_cast<std::uint64_t>(product));
}

}  // namespace

std::vector<std::uint64_t> training_rows(std::span<const std::uint64_t> part_rows, double ratio) {
  if (!(ratio >= 0 && ratio <= 1))
    fail(Code::invalid_argument, "the share of rows held out must be from 0 to 1, not {}", ratio);
  const std::uint64_t n = part_rows.size();
  const std::uint64_t rows = std::accumulate(part_rows.begin(), part_rows.end(), std::uint64_t{0});
  bool modulo = true;
  for (std::uint64_t i = 0; i < n; ++i) modulo &= part_rows[i] == rows_of_part(rows, i, n);

  std::vector<std::uint64_t> out(n);
  if (modulo) {
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

}  // namespace lambdaml::data
