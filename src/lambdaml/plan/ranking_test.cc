#include "lambdaml/plan/ranking.h"

#include <gtest/gtest.h>

namespace lambdaml::plan {
namespace {

Candidate candidate(double seconds, double usd) {
  Candidate out;
  out.seconds = out.seconds_p10 = out.seconds_p90 = seconds;
  out.usd = out.usd_p10 = out.usd_p90 = usd;
  return out;
}

Question asked(Aim aim) {
  Question out;
  out.aim = aim;
  return out;
}

TEST(Ranking, TheAimSaysWhatIsBest) {
  std::vector<Candidate> all{candidate(1, 9), candidate(2, 3), candidate(8, 1)};
  Ranking(asked(Aim::cost)).sort(all);
  EXPECT_EQ(all.front().usd, 1);
  Ranking(asked(Aim::product)).sort(all);
  EXPECT_EQ(all.front().usd, 3);
  Ranking(asked(Aim::time)).sort(all);
  EXPECT_EQ(all.front().usd, 9);
}

TEST(Ranking, WhereNothingCostsAnythingTheFastestIsTheBest) {
  std::vector<Candidate> all{candidate(3, 0), candidate(1, 0), candidate(2, 0)};
  for (const Aim aim : {Aim::time, Aim::cost, Aim::product}) {
    Ranking(asked(aim)).sort(all);
    EXPECT_EQ(all.front().seconds, 1);
  }
}

TEST(Ranking, LimitsComeFirstAndAreThoseOfRareSlowRuns) {
  Question limited = asked(Aim::time);
  limited.deadline_s = 10;
  limited.budget_usd = 5;
  std::vector<Candidate> all{candidate(1, 20), candidate(4, 4), candidate(12, 4), candidate(2, 4)};
  all[3].seconds_p90 = 11;
  Ranking(limited).sort(all);
  EXPECT_EQ(all[0].seconds, 4) << "the only one that meets both";
  EXPECT_TRUE(all[0].meets_limits);
  // The others by how far they miss them.
  EXPECT_EQ(all[1].seconds, 2);
  EXPECT_EQ(all[2].seconds, 12);
  EXPECT_EQ(all[3].seconds, 1);
  EXPECT_FALSE(all[1].meets_limits);
}

TEST(Ranking, TheFrontIsWhatNothingBeatsInBoth) {
  std::vector<Candidate> all{candidate(3, 3), candidate(1, 5), candidate(2, 5), candidate(4, 1)};
  mark_front(all);
  EXPECT_TRUE(all[0].is_on_front && all[1].is_on_front && all[3].is_on_front);
  EXPECT_FALSE(all[2].is_on_front) << "it costs as much as a faster one";
}

}  // namespace
}  // namespace lambdaml::plan
