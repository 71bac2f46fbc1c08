#include "lambdaml/data/partition.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

std::vector<std::uint64_t> modulo_cut(std::uint64_t rows, std::uint64_t n) {
  std::vector<std::uint64_t> out(n);
  for (std::uint64_t r = 0; r < rows; ++r) ++out[r % n];
  return out;
}

std::uint64_t sum(const std::vector<std::uint64_t>& v) {
  return std::accumulate(v.begin(), v.end(), std::uint64_t{0});
}

TEST(TrainingRows, HoldsOutTheSameRowsForEveryNumberOfWorkers) {
  for (const std::uint64_t rows : {1U, 7U, 10U, 103U, 7000U})
    for (const double ratio : {0.0, 0.1, 0.29, 0.5})
      for (std::uint64_t n = 1; n <= 7; ++n) {
        // Row by row: the last ⌊ratio · rows⌋ are held out, wherever they lie.
        std::uint64_t kept = rows;
        while (static_cast<double>(rows - kept + 1) <= ratio * static_cast<double>(rows) + 1e-9)
          --kept;
        EXPECT_EQ(training_rows(modulo_cut(rows, n), ratio), modulo_cut(kept, n))
            << rows << " rows, " << n << " parts, ratio " << ratio;
      }
}

TEST(TrainingRows, ADecimalRatioIsTakenAsMeant) {
  // 0.29 · 100 is 28.999999999999996 in doubles.
  EXPECT_EQ(training_rows(std::vector<std::uint64_t>{100}, 0.29), std::vector<std::uint64_t>{71});
}

TEST(TrainingRows, OtherCutsHoldOutInEachPart) {
  const std::vector<std::uint64_t> parts = {10, 40, 5};
  EXPECT_EQ(training_rows(parts, 0.1), (std::vector<std::uint64_t>{9, 36, 5}));
}

TEST(TrainingRows, LeavesOneRowToTrainOn) {
  EXPECT_EQ(training_rows(modulo_cut(5, 3), 1.0), (std::vector<std::uint64_t>{1, 0, 0}));
  EXPECT_EQ(training_rows(std::vector<std::uint64_t>{0, 9, 1}, 1.0),
            (std::vector<std::uint64_t>{0, 1, 0}));
  EXPECT_EQ(sum(training_rows(std::vector<std::uint64_t>{0, 0}, 0.5)), 0U);
}

TEST(TrainingRows, RefusesRatiosThatAreNone) {
  const std::vector<std::uint64_t> parts = {4};
  EXPECT_EQ(test::error_of([&] { training_rows(parts, -0.1); }),
            "invalid_argument: the share of rows held out must be from 0 to 1, not -0.1");
  EXPECT_THROW(training_rows(parts, 1.5), Error);
  EXPECT_THROW(training_rows(parts, std::nan("")), Error);
}

/// The whole set's rows in the order in which `n` workers visit them together.
std::vector<std::uint64_t> visited_together(std::uint64_t rows, std::uint64_t n,
                                            std::uint64_t seed = 7,
                                            OrderVersion version = OrderVersion::tail_mixed) {
  std::vector<std::uint64_t> part_rows(n);
  for (std::uint64_t r = 0; r < rows; ++r) ++part_rows[r % n];
  std::vector<std::vector<std::uint32_t>> orders;
  for (std::uint64_t i = 0; i < n; ++i)
    orders.push_back(visiting_order(part_rows, i, seed, version));
  std::vector<std::uint64_t> out;
  for (std::uint64_t k = 0; k < rows; ++k) out.push_back(orders[k % n].at(k / n) * n + k % n);
  return out;
}

TEST(VisitingOrder, IsOneOrderForEveryNumberOfWorkersThatDividesAStripe) {
  const std::vector<std::uint64_t> alone = visited_together(1003, 1);
  for (const std::uint64_t n : {2, 4, 7, 14}) EXPECT_EQ(visited_together(1003, n), alone) << n;
  std::vector<std::uint64_t> sorted = alone;
  std::sort(sorted.begin(), sorted.end());
  for (std::uint64_t r = 0; r < 1003; ++r) EXPECT_EQ(sorted[r], r);
  EXPECT_NE(alone, sorted);
}

/// The rows that are held out, by part.
std::vector<std::uint64_t> held_out(std::uint64_t rows, std::uint64_t n, double ratio,
                                    std::uint64_t seed) {
  const std::vector<std::uint64_t> order = visited_together(rows, n, seed);
  std::uint64_t kept = sum(training_rows(modulo_cut(rows, n), ratio));
  return {order.begin() + static_cast<std::ptrdiff_t>(kept), order.end()};
}

TEST(VisitingOrder, TheTailOfTheFileIsHeldOutAsOftenAsAnyOtherRow) {
  struct Cut {
    std::uint64_t rows, workers;
  };
  // The first four had up to 90 % of the held-out rows from the tail, the tenth of the file that is
  // its last.
  for (const auto& [rows, workers] :
       {Cut{5000, 30}, Cut{2000, 13}, Cut{20000, 150}, Cut{50000, 300}, Cut{5000, 4}, Cut{100, 1},
        Cut{100, 7}, Cut{50, 2}, Cut{13, 1}, Cut{400, 30}}) {
    double share = 0;
    const int seeds = 200;
    for (int seed = 1; seed <= seeds; ++seed) {
      const std::vector<std::uint64_t> held =
          held_out(rows, workers, 0.1, static_cast<std::uint64_t>(seed));
      ASSERT_EQ(held.size(), rows / 10);
      const auto tail = std::ranges::count_if(
          held, [rows = rows](std::uint64_t r) { return r >= rows - rows / 10; });
      share += static_cast<double>(tail) / static_cast<double>(held.size()) / seeds;
    }
    // By chance 0.1. Stripes are held out whole, so a single draw varies.
    EXPECT_NEAR(share, 0.1, 0.04) << rows << " rows, " << workers << " workers";
  }
}

TEST(VisitingOrder, AFileSortedByLabelHoldsOutBothClasses) {
  for (const std::uint64_t rows : {60U, 100U, 150U, 1000U, 5000U, 20000U})
    for (const std::uint64_t workers : {1U, 2U, 3U, 4U, 7U, 13U, 30U, 150U}) {
      if (rows / workers < 5) continue;
      int one_class = 0;
      for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const std::vector<std::uint64_t> held = held_out(rows, workers, 0.2, seed);
        const auto second =
            std::ranges::count_if(held, [&](std::uint64_t r) { return r >= rows / 2; });
        one_class += second == 0 || second == static_cast<std::ptrdiff_t>(held.size()) ? 1 : 0;
      }
      // 12 rows of 60 in 3 stripes of 4 are all of one class in a quarter of the draws.
      EXPECT_LT(one_class, rows < 150 ? 25 : 15) << rows << " rows, " << workers << " workers";
      if (rows >= 1000 && workers < 100) {
        EXPECT_LE(one_class, 1) << rows << " rows, " << workers << " workers";
      }
    }
}

TEST(VisitingOrder, OfShortFilesIsOneForOneTwoAndFourWorkers) {
  for (const std::uint64_t rows : {16U, 50U, 111U})
    for (const std::uint64_t n : {2, 4})
      EXPECT_EQ(visited_together(rows, n), visited_together(rows, 1));
}

TEST(VisitingOrder, OfTheFirstVersionIsAsItWas) {
  const auto old = [](std::uint64_t rows, std::uint64_t n) {
    return visited_together(rows, n, 7, OrderVersion::tail_last);
  };
  // Three stripes of 28, then the tail.
  const std::vector<std::uint64_t> order = old(100, 1);
  for (std::uint64_t r = 84; r < 100; ++r) EXPECT_EQ(order[r], r);
  std::vector<std::uint64_t> stripes;
  for (std::size_t k = 0; k < 84; k += 28) stripes.push_back(order[k] / 28);
  EXPECT_EQ(stripes, (std::vector<std::uint64_t>{1, 2, 0}));
  for (const std::uint64_t n : {2, 4, 7, 14}) EXPECT_EQ(old(100, n), order) << n;
}

TEST(VisitingOrder, VisitsEveryRowOfAnyCutOnce) {
  for (const std::vector<std::uint64_t>& parts :
       {std::vector<std::uint64_t>{5, 0, 90}, {1}, {3, 3, 3}, {100, 99, 99, 99, 99}}) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      std::vector<std::uint32_t> order = visiting_order(parts, i, 1, OrderVersion::tail_mixed);
      std::sort(order.begin(), order.end());
      ASSERT_EQ(order.size(), parts[i]);
      for (std::size_t k = 0; k < order.size(); ++k) EXPECT_EQ(order[k], k);
    }
  }
}

TEST(RowNumbers, OfAModuloCutAndOfConsecutiveRows) {
  for (const std::uint64_t rows : {0U, 1U, 7U, 103U})
    for (std::uint64_t n = 1; n <= 7; ++n) {
      const std::vector<std::uint64_t> parts = modulo_cut(rows, n);
      for (std::uint64_t part = 0; part < n; ++part)
        for (std::uint64_t i = 0; i < parts[part]; ++i)
          EXPECT_EQ(row_numbers(parts, part).of(i), i * n + part);
    }
  const std::vector<std::uint64_t> parts = {5, 0, 90};
  EXPECT_EQ(row_numbers(parts, 0).of(4), 4U);
  EXPECT_EQ(row_numbers(parts, 2).of(0), 5U);
  EXPECT_EQ(row_numbers(parts, 2).of(89), 94U);
}

TEST(PassOrder, IsAnotherPermutationInEachPass) {
  std::vector<std::vector<std::uint32_t>> orders;
  for (const std::uint64_t part : {0U, 1U})
    for (const std::uint64_t epoch : {0U, 1U})
      for (const std::uint64_t pass : {0U, 1U}) {
        orders.push_back(pass_order(100, part, 5, epoch, pass));
        EXPECT_EQ(pass_order(100, part, 5, epoch, pass), orders.back());
        std::vector<std::uint32_t> sorted = orders.back();
        std::sort(sorted.begin(), sorted.end());
        for (std::uint32_t r = 0; r < 100; ++r) ASSERT_EQ(sorted[r], r);
      }
  std::sort(orders.begin(), orders.end());
  EXPECT_EQ(std::adjacent_find(orders.begin(), orders.end()), orders.end());
  // The same on every platform.
  EXPECT_EQ(pass_order(5, 1, 2, 3, 4), (std::vector<std::uint32_t>{4, 3, 1, 2, 0}));
  EXPECT_TRUE(pass_order(0, 0, 1, 0, 0).empty());
  EXPECT_EQ(
      test::error_of([] { pass_order(1ULL << 32, 3, 1, 0, 0); }),
      "invalid_argument: part 3: 4294967296 rows are too many to shuffle; use more workers or "
      "--no-shuffle");
}

TEST(PassOrder, PutsEveryRowInEveryPlaceEquallyOften) {
  // 6 rows, 6,000 passes: a count of 1,000 has a standard deviation of 29; over 36 of them five are
  // seen once in 50,000 tries.
  std::vector<int> counts(36);
  for (std::uint64_t epoch = 0; epoch < 6000; ++epoch) {
    const std::vector<std::uint32_t> order = pass_order(6, 0, 1, epoch, 0);
    for (std::size_t place = 0; place < 6; ++place) ++counts[place * 6 + order[place]];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 145);
}

TEST(Rounds, UnequalPartsAgreeAndEveryRowIsSeenOnce) {
  for (std::uint64_t n = 1; n <= 7; ++n)
    for (const std::uint64_t rows : {1U, 10U, 103U, 1000U})
      for (const std::uint64_t batch : {1U, 3U, 10U, 1000U}) {
        const std::vector<std::uint64_t> parts = modulo_cut(rows, n);
        const std::uint64_t rounds = rounds_per_pass(parts, batch);
        EXPECT_EQ(rounds, (parts[0] + batch - 1) / batch);
        for (const std::uint64_t part : parts) {
          std::uint64_t next = 0;
          for (std::uint64_t round = 0; round < rounds; ++round) {
            const RowRange range = batch_rows(part, batch, round);
            EXPECT_LE(range.size(), batch);
            EXPECT_EQ(range.begin, next);
            next = range.end;
          }
          EXPECT_EQ(next, part);
        }
      }
}

TEST(Rounds, OfAPassHaveNoBatchOfAFewRows) {
  for (std::uint64_t n = 1; n <= 7; ++n)
    for (const std::uint64_t rows : {1U, 10U, 103U, 1000U, 1001U})
      for (const std::uint64_t batch : {1U, 3U, 10U, 1000U}) {
        const std::vector<std::uint64_t> parts = modulo_cut(rows, n);
        const PassRounds pass(parts, batch, OrderVersion::reshuffled);
        EXPECT_EQ(pass.count(), rounds_per_pass(parts, batch));
        for (const std::uint64_t part : parts) {
          std::uint64_t next = 0;
          for (std::uint64_t round = 0; round < pass.count(); ++round) {
            const RowRange range = pass.of(part, round);
            EXPECT_EQ(range.begin, next);
            EXPECT_LE(range.size(), batch);
            if (pass.count() > 1) {
              EXPECT_GE(2 * range.size() + 2, batch) << rows << " rows, " << batch << " a batch";
            }
            next = range.end;
          }
          EXPECT_EQ(next, part);
        }
      }
  // 2 × 1,000 and then 1 row: the last two batches share 1,001. An older version left 1 alone.
  const std::vector<std::uint64_t> parts = {2001, 1400};
  const PassRounds pass(parts, 1000, OrderVersion::reshuffled);
  EXPECT_EQ(pass.of(2001, 1).size(), 501U);
  EXPECT_EQ(pass.of(2001, 2).size(), 500U);
  EXPECT_EQ(pass.of(1400, 1).size(), 400U);
  EXPECT_EQ(pass.of(1400, 2).size(), 0U);
  EXPECT_EQ(PassRounds(parts, 1000, OrderVersion::tail_mixed).of(2001, 2).size(), 1U);
}

TEST(Rounds, ExtremesDoNotOverflow) {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  EXPECT_EQ(batch_rows(10, kMost, 0).size(), 10U);
  EXPECT_EQ(batch_rows(10, kMost, kMost).size(), 0U);
  EXPECT_EQ(batch_rows(10, 3, kMost / 2).size(), 0U);
  EXPECT_EQ(rounds_per_pass(std::vector<std::uint64_t>{kMost}, 2), kMost / 2 + 1);
  EXPECT_EQ(rounds_per_pass(std::vector<std::uint64_t>{}, 2), 0U);
  EXPECT_EQ(test::error_of([] { batch_rows(10, 0, 0); }),
            "invalid_argument: a batch needs at least one row");
  EXPECT_THROW(rounds_per_pass(std::vector<std::uint64_t>{1}, 0), Error);
}

}  // namespace
}  // namespace lambdaml::data
