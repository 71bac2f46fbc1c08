#include "lambdaml/plan/simulated_rounds.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace lambdaml::plan {
namespace {

TEST(SimulatedRounds, RequestsAreThoseOfThePattern) {
  const sim::Profile profile = sim::Profile::open("aws-x86");
  for (const std::uint32_t workers : {2U, 5U, 8U})
    for (const std::uint32_t aggregators : {1U, 3U, workers}) {
      const std::uint64_t chunks = std::min(aggregators, workers);
      // A store that pushes is never polled in vain.
      const SimulatedRounds rounds =
          simulate_rounds({workers, aggregators, 4000}, profile, "redis-r7g.large", 1769, 4, 1);
      EXPECT_TRUE(rounds.equal);
      EXPECT_EQ(rounds.puts, 4 * chunks * workers);
      EXPECT_EQ(rounds.gets, 4 * 2 * chunks * (workers - 1));
    }
}

TEST(SimulatedRounds, HundredsOfWorkersNeedNoThreads) {
  const sim::Profile profile = sim::Profile::open("aws-x86");
  const SimulatedRounds rounds =
      simulate_rounds({500, 64, 1024}, profile, "s3-express", 1769, 1, 1);
  EXPECT_TRUE(rounds.equal);
  EXPECT_EQ(rounds.puts, 64 * 500U);
  EXPECT_GT(rounds.seconds.front(), 0);
}

TEST(SimulatedRounds, LargeVectorsMayBeSmallOnesThatCountMore) {
  const sim::Profile profile = sim::Profile::open("paper");
  const auto seconds = [&](double bytes, double scale) {
    return simulate_rounds({4, 1, bytes}, profile, "s3", 3008, 2, 1, scale).seconds.back();
  };
  // 12 MB over 65 MB/s, four times on the critical path.
  EXPECT_NEAR(seconds(12e6, 1e4), seconds(12e6, 1e3), 0.05 * seconds(12e6, 1e3));
  EXPECT_GT(seconds(12e6, 1e3), seconds(1e4, 1) + 2 * 12.0 / 65);
}

}  // namespace
}  // namespace lambdaml::plan
