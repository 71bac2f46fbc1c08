#include "lambdaml/aws/pace.h"

#include <chrono>
#include <cmath>

#include <gtest/gtest.h>

#include "lambdaml/base/testing/manual_clock.h"

namespace lambdaml::aws {
namespace {

class PaceTest : public testing::Test {
 protected:
  /// How many requests may be sent within that time, each as soon as it may.
  int sent_within(Pace& pace, double seconds, bool writes = false) {
    const TimePoint end = time_now() + std::chrono::duration_cast<TimePoint::duration>(
                                           std::chrono::duration<double>(seconds));
    int n = 0;
    while (true) {
      const TimePoint at = pace.reserve(writes);
      if (at >= end) return n;
      ++n;
    }
  }
  /// Sends that many requests, evenly in a second, of which the last is refused.
  void learn(Pace& pace, int n) {
    for (int i = 0; i < n; ++i) {
      pace.taken();
      clock_.advance(0.9 / n);
    }
    EXPECT_TRUE(pace.refused(time_now()));
    clock_.advance(0.1);
  }

  ManualClock clock_;
  ClockReplacement replacement_{clock_};
};

TEST_F(PaceTest, NothingWaitsUntilSomethingIsKnown) {
  Pace pace;
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(pace.reserve(true), time_now());
  EXPECT_FALSE(pace.news());
}

TEST_F(PaceTest, WhatIsKnownIsSharedAndASecondsWorthMayBeSentAtOnce) {
  Pace pace({.reads_per_s = 5500, .writes_per_s = 3500});
  pace.take_share(0.01);
  int at_once = 0;
  while (pace.reserve(true) <= time_now()) ++at_once;
  EXPECT_EQ(at_once, 35);
  EXPECT_NEAR(sent_within(pace, 10, false), 55 + 550, 2);
  EXPECT_FALSE(pace.news());
}

TEST_F(PaceTest, AStatedRateIsSpacedEvenly) {
  Pace pace({.all_per_s = 100});
  pace.take_share(0.5);
  EXPECT_NEAR(sent_within(pace, 2), 95, 1);
}

TEST_F(PaceTest, TheSecondBeforeARefusalTeachesTheRate) {
  Pace pace;
  pace.take_share(0.25);
  learn(pace, 20);
  ASSERT_TRUE(pace.news());
  EXPECT_EQ(pace.news()->generation, 1);
  EXPECT_NEAR(pace.news()->per_s, 0.9 * 20 / 0.25, 1e-6);
  EXPECT_NEAR(sent_within(pace, 10), 180, 2);
}

TEST_F(PaceTest, RefusalsOfWhatWasUnderWayDoNotCountTwice) {
  Pace pace;
  const TimePoint before = time_now();
  learn(pace, 20);
  const auto news = pace.news();
  EXPECT_FALSE(pace.refused(before));
  EXPECT_EQ(pace.news(), news);
  // A later one lowers the rate to a half at most, at once if a second's requests can be counted.
  clock_.advance(5);
  pace.taken();
  clock_.advance(0.99);
  EXPECT_FALSE(pace.refused(time_now()));
  EXPECT_EQ(pace.news()->generation, 2);
  EXPECT_NEAR(pace.news()->per_s, news->per_s / 2, 1e-6);
}

TEST_F(PaceTest, OthersSlowDownAndTheSameNewsDriftToTheirMean) {
  Pace one, other, idle;
  for (Pace* pace : {&one, &other, &idle}) pace->take_share(1.0 / 3);
  learn(one, 30);
  learn(other, 20);
  idle.hear(*one.news());
  EXPECT_EQ(idle.news(), one.news());
  for (int i = 0; i < 50; ++i) {
    one.hear(*other.news());
    other.hear(*one.news());
  }
  EXPECT_NEAR(one.news()->per_s, other.news()->per_s, 0.1);
  EXPECT_NEAR(one.news()->per_s, 0.9 * 25 * 3, 2);
  // Newer news replace older ones, not the other way.
  one.hear({.generation = 3, .per_s = 10});
  EXPECT_EQ(one.news()->per_s, 10);
  one.hear({.generation = 2, .per_s = 1000});
  EXPECT_EQ(one.news()->per_s, 10);
}

TEST_F(PaceTest, AClientThatHasCountedLittleIsNotStalled) {
  Pace pace({.least_per_s = 100});
  learn(pace, 2);
  EXPECT_EQ(pace.news()->per_s, 100);
}

TEST_F(PaceTest, NewsThatMakeNoSenseAreIgnored) {
  Pace pace;
  for (const Pace::News& news :
       {Pace::News{0, 5}, Pace::News{-1, 5}, Pace::News{1, 0}, Pace::News{1, -3},
        Pace::News{1, Pace::kUnlimited}, Pace::News{1, std::nan("")}})
    pace.hear(news);
  EXPECT_FALSE(pace.news());
}

TEST_F(PaceTest, WhatIsTakenAfterARefusalTeachesToo) {
  Pace pace;
  EXPECT_TRUE(pace.refused(time_now()));
  for (int i = 0; i < 20; ++i) {
    clock_.advance(0.04);
    pace.taken();
  }
  clock_.advance(0.2);
  EXPECT_NEAR(pace.news()->per_s, 18, 1e-6);
}

TEST_F(PaceTest, AnOutageTeachesNothing) {
  Pace pace;
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(pace.refused(time_now()));
    clock_.advance(0.1);
  }
  clock_.advance(1);
  EXPECT_FALSE(pace.news());
}

TEST_F(PaceTest, AStatedRateIsNotOutgrown) {
  Pace pace({.all_per_s = 100});
  learn(pace, 80);
  EXPECT_NEAR(pace.news()->per_s, 72, 1e-6);
  clock_.advance(3600);
  EXPECT_NEAR(pace.news()->per_s, 95, 1e-6);
}

TEST_F(PaceTest, ARateThatHasGrownUnusedIsLearnedAnew) {
  Pace pace;
  learn(pace, 100);
  EXPECT_NEAR(pace.news()->per_s, 90, 1e-6);
  clock_.advance(3600);
  EXPECT_GT(pace.news()->per_s, 1e6);
  learn(pace, 100);
  EXPECT_NEAR(pace.news()->per_s, 90, 1e-6);
}

TEST_F(PaceTest, TheRateGrowsAgain) {
  Pace pace;
  learn(pace, 100);
  EXPECT_NEAR(pace.news()->per_s, 90, 1e-6);
  clock_.advance(61);
  EXPECT_NEAR(pace.news()->per_s, 90 * 1.25, 1e-6);
  clock_.advance(120);
  EXPECT_NEAR(pace.news()->per_s, 90 * 1.25 * 1.25 * 1.25, 1e-6);
}

}  // namespace
}  // namespace lambdaml::aws
