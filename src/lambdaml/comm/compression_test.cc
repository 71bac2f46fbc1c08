#include <cmath>

#include <gmock/gmock.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/comm/packing.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/meter.h"

/// Compressed increments: the same bits on all workers and for both patterns, fewer bytes, and
/// nothing lost over the rounds.
namespace lambdaml::comm {
namespace {

using testing::Each;

constexpr std::size_t kValues = 3001;

/// What worker `w` contributes to round `r`.
std::vector<float> gradient(std::uint64_t r, std::uint32_t w) {
  Rng rng(mix({r, w}));
  std::vector<float> values(kValues);
  for (std::size_t i = 0; i < kValues; ++i)
    values[i] = static_cast<float>(rng.normal() * (i % 7 == 0 ? 1 : 0.01) + 0.003);
  return values;
}

struct Worker {
  std::vector<std::vector<float>> merged;  ///< by round
  std::vector<float> residual;
  std::uint64_t bytes_sent = 0;
};

/// Merges the rounds [from, to) on each worker.
std::vector<Worker> merge(const std::string& pattern, Compression compression,
                          std::uint32_t workers, std::uint64_t rounds) {
  const std::string place = memory_place();
  const std::string name = compression_names()[static_cast<std::size_t>(compression)];
  std::vector<Worker> out(workers);
  EXPECT_THAT(
      on_threads(workers,
                 [&](std::uint32_t w) {
                   const auto meter = std::make_shared<storage::Meter>();
                   Membership membership{
                       .store = storage::open(place, meter),
                       .job = 1,
                       .worker = w,
                       .workers = workers,
                       .patience_s = 60,
                       .options = options_with({{"compress", name}, {"compress_share", "0.05"}})};
                   std::unique_ptr<Communicator> communicator =
                       registry().get(pattern).make(membership);
                   for (std::uint64_t r = 0; r < rounds; ++r) {
                     if (r == 2 && w == 1) {  // as after a checkpoint
                       auto fresh = registry().get(pattern).make(membership);
                       fresh->seek(r);
                       fresh->restore_residual(communicator->residual());
                       communicator = std::move(fresh);
                     }
                     std::vector<float> values = gradient(r, w);
                     std::vector<double> totals = {1, 0.1 * w};
                     communicator->merge({values, totals}, Meaning::increment);
                     EXPECT_EQ(totals[0], workers);
                     out[w].merged.push_back(values);
                   }
                   const auto residual = communicator->residual();
                   out[w].residual.assign(residual.begin(), residual.end());
                   out[w].bytes_sent = meter->usage().put.bytes;
                 }),
      Each(""));
  return out;
}

class Compressed : public testing::TestWithParam<std::tuple<std::string, Compression>> {
 protected:
  const std::string& pattern() const { return std::get<0>(GetParam()); }
  Compression compression() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(
    , Compressed,
    testing::Combine(testing::ValuesIn(waiting_patterns()),
                     testing::Values(Compression::bf16, Compression::int8, Compression::topk)),
    [](const auto& info) {
      return std::get<0>(info.param) + "_" +
             compression_names()[static_cast<std::size_t>(std::get<1>(info.param))];
    });

TEST_P(Compressed, AllWorkersAndAllPatternsGetTheSameBits) {
  for (const std::uint32_t workers : {2U, 4U, 7U}) {
    const std::vector<Worker> reduce = merge("reduce", compression(), workers, 4);
    const std::vector<Worker> own = merge(pattern(), compression(), workers, 4);
    for (std::uint32_t w = 0; w < workers; ++w) {
      EXPECT_EQ(reduce[w].merged, reduce[0].merged);
      EXPECT_EQ(own[w].merged, reduce[0].merged);
      EXPECT_EQ(own[w].residual, reduce[w].residual);
    }
  }
}

TEST_P(Compressed, WhatIsHeldBackComesLater) {
  constexpr std::uint32_t kWorkers = 3;
  constexpr std::uint64_t kRounds = 20;
  const std::vector<Worker> all = merge(pattern(), compression(), kWorkers, kRounds);
  std::vector<double> sums(kValues);
  for (std::uint64_t r = 0; r < kRounds; ++r)
    for (std::uint32_t w = 0; w < kWorkers; ++w) {
      const std::vector<float> values = gradient(r, w);
      for (std::size_t i = 0; i < kValues; ++i) sums[i] += values[i];
    }
  // The sum over rounds of what was merged, and what is held back still, is the sum of what was
  // contributed; but for the rounding of merged results to bf16, 2^-9 of each.
  for (std::size_t i = 0; i < kValues; ++i) {
    double given = 0, rounding = 1e-5;
    for (std::uint64_t r = 0; r < kRounds; ++r) {
      given += all[0].merged[r][i];
      if (compression() != Compression::topk) rounding += std::abs(all[0].merged[r][i]) / 500;
    }
    for (const Worker& worker : all) given += worker.residual[i];
    ASSERT_NEAR(given, sums[i], rounding) << i;
  }
}

TEST_P(Compressed, TakesFewerBytes) {
  const double whole = static_cast<double>(merge(pattern(), Compression::none, 4, 3)[1].bytes_sent);
  const double sent = static_cast<double>(merge(pattern(), compression(), 4, 3)[1].bytes_sent);
  // Of `reduce`, whose worker 1 sends its contribution only; an aggregator sends sums as well,
  // which are rounded to bf16 where the contributions are int8, and are as wide as all that topk
  // chose.
  const double shares[] = {1, 0.51, 0.27, 0.11};
  const double share = shares[static_cast<std::size_t>(compression())];
  EXPECT_LT(sent / whole, pattern() == "reduce" ? share : share + 0.07);
}

TEST(Compression, StatesTravelWholeAndNumbersThatAreNotFiniteAreSeenByAll) {
  const std::string place = memory_place();
  EXPECT_THAT(on_threads(2,
                         [&](std::uint32_t w) {
                           const auto communicator = registry().get("reduce").make(
                               {.store = storage::open(place),
                                .job = 2,
                                .worker = w,
                                .workers = 2,
                                .patience_s = 60,
                                .options = options_with({{"compress", "int8"}})});
                           std::vector<float> values = {1000, 0.001F};
                           communicator->merge({values, {}}, Meaning::state);
                           EXPECT_EQ(values, (std::vector<float>{2000, 0.002F}));
                           values = {w == 1 ? std::nanf("") : 1, 1};
                           communicator->merge({values, {}}, Meaning::increment);
                           EXPECT_TRUE(std::isnan(values[0]));
                         }),
              Each(""));
}

TEST(Compression, AsyncSumsDoNotDrift) {
  const std::string place = memory_place();
  std::vector<std::vector<float>> sums(2, std::vector<float>(kValues));
  EXPECT_THAT(on_threads(2,
                         [&](std::uint32_t w) {
                           const auto communicator = registry().get("async").make(
                               {.store = storage::open(place),
                                .job = 3,
                                .worker = w,
                                .workers = 2,
                                .patience_s = 60,
                                .options = options_with({{"compress", "int8"}})});
                           std::vector<float> values;
                           std::vector<double> totals(1);
                           for (std::uint64_t r = 0; r <= 10; ++r) {
                             values = r < 10 ? gradient(r, w) : std::vector<float>(kValues);
                             if (r < 10)
                               communicator->merge({values, totals}, Meaning::increment);
                             else
                               communicator->finish({values, totals});
                             for (std::size_t i = 0; i < kValues; ++i) sums[w][i] += values[i];
                           }
                         }),
              Each(""));
  std::vector<double> contributed(kValues);
  for (std::uint64_t r = 0; r < 10; ++r)
    for (std::uint32_t w = 0; w < 2; ++w) {
      const std::vector<float> values = gradient(r, w);
      for (std::size_t i = 0; i < kValues; ++i) contributed[i] += values[i];
    }
  for (std::size_t i = 0; i < kValues; ++i)
    for (std::uint32_t w = 0; w < 2; ++w) ASSERT_NEAR(sums[w][i], contributed[i], 1e-4);
}

}  // namespace
}  // namespace lambdaml::comm
