#include "lambdaml/data/hold_out.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

/// A set of rows cut in parts: the classes of each part's rows, and the parts' sizes.
struct DealtRows {
  std::vector<std::uint64_t> part_rows;
  std::vector<std::vector<float>> classes;
};

DealtRows modulo(const std::vector<float>& classes, std::size_t n) {
  DealtRows cut{std::vector<std::uint64_t>(n), std::vector<std::vector<float>>(n)};
  for (std::size_t r = 0; r < classes.size(); ++r) cut.classes[r % n].push_back(classes[r]);
  for (std::size_t i = 0; i < n; ++i) cut.part_rows[i] = cut.classes[i].size();
  return cut;
}

/// Parts of consecutive rows, the first one `more` rows longer than the others.
DealtRows consecutive(const std::vector<float>& classes, std::size_t n, std::size_t more) {
  DealtRows cut{std::vector<std::uint64_t>(n), std::vector<std::vector<float>>(n)};
  const std::size_t each = (classes.size() - more) / n;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t end = i + 1 == n ? classes.size() : begin + each + (i == 0 ? more : 0);
    cut.classes[i].assign(classes.begin() + static_cast<std::ptrdiff_t>(begin),
                          classes.begin() + static_cast<std::ptrdiff_t>(end));
    cut.part_rows[i] = end - begin;
    begin = end;
  }
  return cut;
}

struct Held {
  std::set<std::uint64_t> rows;  ///< numbers in the whole set
  std::size_t merges = 0;
};

/// What the workers of a cut hold out; as each of them knows it.
Held held_out(const DealtRows& cut, std::size_t classes, double ratio, std::uint64_t seed,
              bool one_class = false) {
  const std::size_t n = cut.part_rows.size();
  const std::uint64_t rows =
      std::accumulate(cut.part_rows.begin(), cut.part_rows.end(), std::uint64_t{0});
  std::vector<RowsToHoldOut> parts;
  for (std::size_t i = 0; i < n; ++i)
    parts.push_back({cut.part_rows[i], row_numbers(cut.part_rows, i),
                     one_class ? std::span<const float>() : std::span(cut.classes[i]), seed});
  HoldOutSearch search(classes, ratio, rows);
  Held held;
  while (!search.found()) {
    std::vector<double> sums(search.sums_count());
    EXPECT_LE(sums.size(), std::max<std::size_t>(8192, 4 * classes));
    for (const RowsToHoldOut& part : parts) search.count(part, sums);
    search.learn(sums);
    ++held.merges;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const Arrangement arrangement = arrange(parts[i], search.bounds());
    EXPECT_EQ(arrangement.order.size(), cut.part_rows[i]);
    const auto middle =
        arrangement.order.begin() + static_cast<std::ptrdiff_t>(arrangement.training_rows);
    EXPECT_TRUE(std::is_sorted(arrangement.order.begin(), middle));
    EXPECT_TRUE(std::is_sorted(middle, arrangement.order.end()));
    for (auto row = middle; row != arrangement.order.end(); ++row)
      held.rows.insert(parts[i].numbers.of(*row));
  }
  return held;
}

std::vector<float> sorted_classes(const std::vector<std::size_t>& counts) {
  std::vector<float> classes;
  for (std::size_t c = 0; c < counts.size(); ++c)
    classes.insert(classes.end(), counts[c], static_cast<float>(c));
  return classes;
}

std::vector<std::uint64_t> by_class(const std::set<std::uint64_t>& rows,
                                    const std::vector<float>& classes, std::size_t count) {
  std::vector<std::uint64_t> out(count);
  for (const std::uint64_t row : rows) ++out[static_cast<std::size_t>(classes[row])];
  return out;
}

TEST(HoldOut, CountsAreRoundedAndLeaveARowOfEachClass) {
  EXPECT_EQ(rows_to_hold_out(45, 0.1), 5U);  // 4.5
  EXPECT_EQ(rows_to_hold_out(44, 0.1), 4U);
  EXPECT_EQ(rows_to_hold_out(10, 0.35), 4U);   // 3.5, in doubles too
  EXPECT_EQ(rows_to_hold_out(50, 0.29), 15U);  // 14.5; in doubles 14.499999999999998
  EXPECT_EQ(rows_to_hold_out(4, 0.1), 0U);
  EXPECT_EQ(rows_to_hold_out(0, 0.5), 0U);
  for (const double ratio : {0.0, 0.5, 0.9, 1.0}) EXPECT_EQ(rows_to_hold_out(1, ratio), 0U);
  EXPECT_EQ(rows_to_hold_out(2, 0.9), 1U);
  EXPECT_EQ(rows_to_hold_out(7, 1), 6U);
  EXPECT_EQ(test::error_of([] { rows_to_hold_out(4, -0.1); }),
            "invalid_argument: the share of rows held out must be from 0 to 1, not -0.1");
  EXPECT_THROW(HoldOutSearch(2, 1.5, 10), Error);
  EXPECT_THROW(HoldOutSearch(2, std::nan(""), 10), Error);
}

TEST(HoldOut, IsTheSameForEveryCutAndExactForEachClass) {
  Rng rng(4);
  for (const std::vector<std::size_t>& counts :
       {std::vector<std::size_t>{45, 45, 10}, {1, 2, 3, 994}, {1}, {0, 7}, {5, 0, 600, 1}}) {
    const std::size_t classes = counts.size();
    std::vector<float> sorted = sorted_classes(counts), mixed = sorted;
    for (std::size_t i = mixed.size(); i > 1; --i) std::swap(mixed[i - 1], mixed[rng.below(i)]);
    for (const std::vector<float>& file : {sorted, mixed})
      for (const double ratio : {0.05, 0.1, 0.29, 0.5, 1.0}) {
        const Held alone = held_out(modulo(file, 1), classes, ratio, 3);
        for (std::size_t c = 0; c < classes; ++c)
          EXPECT_EQ(by_class(alone.rows, file, classes)[c], rows_to_hold_out(counts[c], ratio))
              << counts[c] << " rows, ratio " << ratio;
        for (const std::size_t n : {2U, 3U, 4U, 7U, 50U, 300U}) {
          EXPECT_EQ(held_out(modulo(file, n), classes, ratio, 3).rows, alone.rows) << n;
          if (file.size() < 2 * n + 9) continue;
          EXPECT_EQ(held_out(consecutive(file, n, 9), classes, ratio, 3).rows, alone.rows) << n;
        }
        if (file.size() > 90 && ratio < 1) {
          EXPECT_NE(held_out(modulo(file, 1), classes, ratio, 4).rows, alone.rows);
        }
      }
  }
}

TEST(HoldOut, WithoutClassesAllRowsAreOne) {
  const std::vector<float> targets(103, 0.5F);
  const Held held = held_out(modulo(targets, 3), 1, 0.1, 1, true);
  EXPECT_EQ(held.rows.size(), 10U);
  EXPECT_EQ(held_out(modulo(targets, 1), 1, 0.1, 1, true).rows, held.rows);
}

TEST(HoldOut, EveryRowOfAClassIsHeldOutEquallyOftenWhereverItLies) {
  // Also together with its neighbours: 20 rows, 5 held out, 20,000 seeds.
  const std::vector<float> classes(20, 0.0F);
  const DealtRows cut = modulo(classes, 1);
  std::vector<double> counts(20);
  std::vector<double> pairs(400);
  constexpr double kSeeds = 20'000;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Held held = held_out(cut, 1, 0.25, seed);
    ASSERT_EQ(held.rows.size(), 5U);
    for (const std::uint64_t a : held.rows) {
      ++counts[a];
      for (const std::uint64_t b : held.rows) ++pairs[a * 20 + b];
    }
  }
  // Five standard deviations.
  const auto near = [&](double count, double p) {
    EXPECT_NEAR(count, kSeeds * p, 5 * std::sqrt(kSeeds * p * (1 - p)));
  };
  for (std::size_t a = 0; a < 20; ++a) {
    near(counts[a], 5.0 / 20);
    for (std::size_t b = 0; b < a; ++b) near(pairs[a * 20 + b], 5.0 * 4 / (20 * 19));
  }
}

TEST(HoldOut, TakesFewMerges) {
  Rng rng(1);
  for (const auto& [rows, classes, merges] :
       {std::tuple(std::size_t{100}, std::size_t{3}, 2U),
        std::tuple(std::size_t{20'000}, std::size_t{2}, 3U),
        std::tuple(std::size_t{300'000}, std::size_t{2}, 3U),
        std::tuple(std::size_t{300'000}, std::size_t{1000}, 6U)}) {
    std::vector<float> file(rows);
    for (float& c : file) c = static_cast<float>(rng.below(classes));
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
      EXPECT_LE(held_out(modulo(file, 1), classes, 0.1, seed).merges, merges)
          << rows << " rows, " << classes << " classes";
  }
}

}  // namespace
}  // namespace lambdaml::data
