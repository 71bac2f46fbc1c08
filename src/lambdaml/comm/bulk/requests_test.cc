#include <algorithm>

#include <gmock/gmock.h>

#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"

/// How many requests rounds of `reduce` and `reduce_scatter` take, and which keys they leave.
namespace lambdaml::comm::bulk {
namespace {

using testing::Each;

class BulkRequests : public testing::TestWithParam<std::string> {
 protected:
  Job job(std::uint32_t workers, std::size_t n) const {
    return {.pattern = GetParam(), .workers = workers, .n = n, .uri = memory_place()};
  }
};

INSTANTIATE_TEST_SUITE_P(, BulkRequests, testing::Values("reduce", "reduce_scatter"),
                         [](const auto& info) { return info.param; });

TEST_P(BulkRequests, AreThoseOfTheDocumentation) {
  constexpr std::uint64_t kRounds = 5;
  for (const std::uint64_t workers : {2U, 4U, 7U}) {
    for (const std::size_t n : {0U, 3U, 1000U}) {
      const auto meter = std::make_shared<storage::Meter>();
      Job all = job(static_cast<std::uint32_t>(workers), n);
      all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
        return storage::with_meter(std::move(store), meter);
      };
      all.patience_s = 30'000;  // a long wait has its looks, which cost requests
      EXPECT_THAT(
          on_threads(all.workers,
                     [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, kRounds); }),
          Each(""));
      const storage::Usage usage = meter->usage();
      const std::uint64_t chunks = std::clamp<std::uint64_t>(n, 1, workers);
      const bool scattered = GetParam() == "reduce_scatter";
      EXPECT_EQ(usage.put.requests, kRounds * (scattered ? chunks * workers : workers));
      EXPECT_EQ(usage.get.requests, kRounds * 2 * (workers - 1) * (scattered ? chunks : 1));
      EXPECT_EQ(usage.list.requests, 0U);
      // Each contribution but those of the last round is removed again.
      EXPECT_EQ(usage.remove.requests,
                (kRounds - 1) * (scattered ? chunks * workers - chunks : workers - 1));
    }
  }
}

TEST_P(BulkRequests, RemovesMergedResultsOnceAllAreKnownToBePastThem) {
  constexpr std::uint64_t kEvery = 4;
  Job all = job(3, 100);
  const auto store = storage::open(all.uri);
  const std::uint64_t per_round = 100 * sizeof(float) + kTotals * sizeof(double);
  const std::uint64_t merged_keys = GetParam() == "reduce" ? 1 : 3;
  EXPECT_THAT(
      on_threads(3,
                 [&](std::uint32_t w) {
                   const auto communicator = all.communicator(w);
                   const auto check = [](std::uint64_t is, std::uint64_t should, auto what) {
                     if (is != should) fail(Code::internal, "{}: {}, not {}", what, is, should);
                   };
                   all.merge_rounds(*communicator, 0, 12, [&](std::uint64_t next) {
                     const std::uint64_t since = next % kEvery == 0 ? kEvery : next % kEvery;
                     check(communicator->retained_bytes(), since * per_round, "retained");
                     if (next % kEvery != 0) return;
                     communicator->retire(next);
                     check(communicator->retained_bytes(), 0, "retained after retire()");
                     // Others may have to come back for it still.
                     check(store->list(fmt::format("m/{}", next - 1)).size(), merged_keys, "kept");
                   });
                   all.merge_rounds(*communicator, 12, 14);
                 }),
      Each(""));
  // Rounds 0 to 11 are retired and removed; 12 and 13 are there, with the contributions to 13.
  EXPECT_EQ(store->list("m/").size(), 2 * merged_keys);
  EXPECT_EQ(store->list("").size(), 2 * merged_keys + (GetParam() == "reduce" ? 2 : 6));
}

TEST_P(BulkRequests, OfASecondAttemptAreOneLoadForEachMergedChunk) {
  Job all = job(3, 7);
  all.patience_s = 15;
  EXPECT_THAT(
      on_threads(3, [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, 10); }),
      Each(""));
  const auto meter = std::make_shared<storage::Meter>();
  all.decorate = [&](std::shared_ptr<storage::Storage> store, std::uint32_t) {
    return storage::with_meter(std::move(store), meter);
  };
  for (std::uint32_t w = 0; w < 3; ++w) {
    const auto communicator = all.communicator(w);
    communicator->catch_up();
    EXPECT_NO_THROW(all.merge_rounds(*communicator, 0, 10));
  }
  EXPECT_EQ(meter->usage().put.requests, 0U);
  EXPECT_EQ(meter->usage().get.requests, 3U * 10 * (GetParam() == "reduce" ? 1 : 3));
}

TEST(BulkPatterns, AgreeBitByBit) {
  // Each against the ordered sum is tested by the conformance suite; this is the promise itself,
  // for P = 4.
  std::vector<Numbers> results(2);
  for (const bool scattered : {false, true}) {
    const Job all{.pattern = scattered ? "reduce_scatter" : "reduce",
                  .workers = 4,
                  .n = 1001,
                  .uri = memory_place()};
    EXPECT_THAT(on_threads(4,
                           [&](std::uint32_t w) {
                             Numbers numbers = contribution(0, w, 1001);
                             all.communicator(w)->merge(numbers.view(), Meaning::state);
                             if (w == 2) results[scattered ? 1 : 0] = numbers;
                           }),
                Each(""));
  }
  EXPECT_TRUE(results[0].same_bits(results[1]));
}

TEST(BulkPatterns, AreKnownByName) {
  EXPECT_TRUE(registry().get("reduce").bulk_synchronous);
  EXPECT_TRUE(registry().get("reduce_scatter").bulk_synchronous);
  EXPECT_FALSE(registry().get("async").bulk_synchronous);
}

}  // namespace
}  // namespace lambdaml::comm::bulk
