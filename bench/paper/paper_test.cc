// How near the simulated original is to the paper's tables.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "paper/original.h"
#include "paper/tables.h"

namespace lambdaml::paper {
namespace {

TEST(Paper, RoundsOverS3AreNearAndHaveTheSameWinner) {
  for (const RoundsOverS3& of : rounds_of_paper()) {
    const RoundsThen then = rounds_then(of);
    const std::string what = fmt::format("{}: reduce {:.2f} s, reduce_scatter {:.2f} s", of.model,
                                         then.reduce_s, then.reduce_scatter_s);
    EXPECT_EQ(then.reduce_s < then.reduce_scatter_s, of.reduce_s < of.reduce_scatter_s) << what;
    EXPECT_NEAR(then.reduce_scatter_s / of.reduce_scatter_s, 1, 0.2) << what;
    // What the paper measured of LR's leader (0.18 s a vector) contradicts its other rows (0.07 s).
    if (std::string(of.model) != "LR") {
      EXPECT_NEAR(then.reduce_s / of.reduce_s, 1, 0.2) << what;
    }
    EXPECT_LT(then.our_reduce_s, then.reduce_s) << what;
    // Where bytes are the limit, they are so for both.
    EXPECT_LT(then.our_reduce_scatter_s, 1.05 * then.reduce_scatter_s) << what;
  }
}

TEST(Paper, StartsAreNear) {
  constexpr std::pair<double, double> kPaper[] = {{10, 1.2}, {50, 11}, {100, 18}, {200, 35}};
  for (const auto& [workers, seconds] : kPaper) {
    EXPECT_NEAR(start_then_s(workers) / seconds, 1, 0.15) << workers;
    EXPECT_LT(start_today_s(workers), start_then_s(workers)) << workers;
  }
}

TEST(Paper, TheBreakdownsTotalIsNear) { EXPECT_NEAR(breakdown_then().total_s() / 92, 1, 0.1); }

TEST(Paper, TheOriginalsProtocolSums) {
  for (const Protocol protocol : {Protocol::reduce, Protocol::reduce_scatter})
    for (const std::uint32_t workers : {1U, 2U, 5U}) {
      const OriginalRound round =
          original_round(protocol, {workers, 1, 1e4}, paper_profile(), "s3", 3008);
      EXPECT_TRUE(round.equal);
      const std::uint64_t p = workers;
      EXPECT_EQ(round.puts, protocol == Protocol::reduce ? p + 1 : p * p);
    }
}

}  // namespace
}  // namespace lambdaml::paper
