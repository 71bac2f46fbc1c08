#include "lambdaml/aws/pace.h"

#include <array>
#include <chrono>
#include <cmath>
#include <deque>
#include <queue>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/base/testing/manual_clock.h"

namespace lambdaml::aws {
namespace {

constexpr double kMargin = 0.85;

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
  EXPECT_NEAR(pace.news()->per_s, kMargin * 20 / 0.25, 1e-6);
  EXPECT_NEAR(sent_within(pace, 10), 170, 2);
}

TEST_F(PaceTest, RefusalsOfWhatWasUnderWayDoNotCountTwice) {
  Pace pace;
  const TimePoint before = time_now();
  learn(pace, 20);
  const auto news = pace.news();
  EXPECT_FALSE(pace.refused(before));
  EXPECT_EQ(pace.news()->generation, news->generation);
  EXPECT_EQ(pace.news()->per_s, news->per_s);
  // A later one lowers the rate to a half at most, at once if a second's requests can be counted.
  clock_.advance(5);
  pace.taken();
  clock_.advance(0.99);
  EXPECT_FALSE(pace.refused(time_now()));
  EXPECT_EQ(pace.news()->generation, 2);
  EXPECT_NEAR(pace.news()->per_s, news->per_s / 2, 1e-6);
}

TEST_F(PaceTest, OthersSlowDownAndTakeTheMeanOfWhatIsCounted) {
  Pace one, other, idle;
  for (Pace* pace : {&one, &other, &idle}) pace->take_share(1.0 / 3);
  learn(one, 30);
  learn(other, 20);
  idle.hear(*one.news());
  EXPECT_EQ(idle.news()->generation, 1);
  EXPECT_EQ(idle.news()->per_s, one.news()->per_s);
  one.hear(*other.news());
  EXPECT_NEAR(one.news()->per_s, kMargin * 25 * 3, 1e-6);
  // One that has heard of one client only believes the one that has heard of both.
  idle.hear(*one.news());
  EXPECT_EQ(idle.news()->per_s, one.news()->per_s);
  other.hear(*idle.news());
  EXPECT_NEAR(other.news()->per_s, one.news()->per_s, 1e-6);
  // What older versions say.
  other.hear({.generation = 1, .per_s = 1});
  EXPECT_NEAR(other.news()->per_s, one.news()->per_s, 1e-6);
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
  pace.hear({.generation = 1, .per_s = 50, .clients = 1, .client = 7, .counted_per_s = 0});
  pace.hear(
      {.generation = 1, .per_s = 50, .clients = 1, .client = 9, .counted_per_s = std::nan("")});
  EXPECT_EQ(pace.news()->per_s, 50);
  EXPECT_EQ(pace.news()->client, 0U);
}

/// A service that takes so many requests per second, and clients that always have some to send.
struct Crowd {
  static constexpr int kClients = 16;
  static constexpr double kLimit_per_s = 350, kRequest_s = 0.01, kSpan_s = 10;
  enum class Event { send, arrive, answer, again };

  explicit Crowd(std::uint64_t seed, bool counts_in_each_second)
      : rng(seed), in_each_second(counts_in_each_second) {}

  bool takes(double now_s) {
    if (in_each_second) {
      while (!last_second.empty() && now_s - last_second.front() >= 1) last_second.pop_front();
      if (static_cast<double>(last_second.size()) >= kLimit_per_s) return false;
      last_second.push_back(now_s);
      return true;
    }
    tokens = std::min(kLimit_per_s / 10, tokens + (now_s - filled_s) * kLimit_per_s);
    filled_s = now_s;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  void run(ManualClock& clock) {
    struct Due {
      std::size_t client = 0;
      Event event = Event::send;
      double at_s = 0;
      int order = 0;
      TimePoint sent_at{};
      bool took = false;
      bool operator>(const Due& other) const {
        return std::tie(at_s, order) > std::tie(other.at_s, other.order);
      }
    };
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due;
    int order = 0;
    const TimePoint begin = time_now();
    double now_s = 0;
    const auto push = [&](double at_s, Due what) {
      what.at_s = at_s;
      what.order = ++order;
      due.push(what);
    };
    const auto reserve = [&](std::size_t client) {
      const double at_s =
          std::chrono::duration<double>(paces[client].reserve(true) - begin).count();
      push(std::max(now_s, at_s), {client, Event::send});
    };
    for (std::size_t i = 0; i < kClients; ++i) {
      paces[i].take_share(1.0 / kClients);
      for (int n = 0; n < 4; ++n) push(rng.uniform(0, 0.01), {i, Event::send});
    }
    while (due.top().at_s < kSpan_s) {
      Due now = due.top();
      due.pop();
      clock.advance(now.at_s - now_s);
      now_s = now.at_s;
      Pace& pace = paces[now.client];
      switch (now.event) {
        case Event::send:
          now.sent_at = time_now();
          now.event = Event::arrive;
          push(now_s + kRequest_s / 2 + rng.uniform(0, 0.002), now);
          break;
        case Event::arrive:
          now.took = takes(now_s);
          ++(now.took ? taken : refused);
          if (!now.took) last_refusal_s = now_s;
          now.event = Event::answer;
          push(now_s + kRequest_s / 2, now);
          break;
        case Event::answer:
          if (now.took) {
            pace.taken();
            // It was a value of another client.
            if (const auto news = paces[rng.below(kClients)].news()) pace.hear(*news);
            reserve(now.client);
          } else if (const auto pause_s = pace.refused(now.sent_at)) {
            push(now_s + *pause_s, {now.client, Event::again});
          } else {
            reserve(now.client);
          }
          break;
        case Event::again:
          reserve(now.client);
          break;
      }
    }
  }

  Rng rng;
  const bool in_each_second;
  std::array<Pace, kClients> paces;
  std::deque<double> last_second;
  double tokens = kLimit_per_s / 10, filled_s = 0, last_refusal_s = 0;
  int taken = 0, refused = 0;
};

TEST_F(PaceTest, SixteenClientsUseWhatTheServiceTakesAndAreNotRefusedAfterTheFirstSecond) {
  for (const bool in_each_second : {false, true})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Crowd crowd(seed, in_each_second);
      crowd.run(clock_);
      EXPECT_GT(crowd.refused, 0);
      EXPECT_LE(crowd.last_refusal_s, 1.05) << seed << in_each_second;
      EXPECT_GE(crowd.taken, Crowd::kLimit_per_s * Crowd::kSpan_s / 1.3) << seed << in_each_second;
    }
}

TEST_F(PaceTest, WhatIsTakenAfterARefusalTeachesToo) {
  Pace pace;
  EXPECT_TRUE(pace.refused(time_now()));
  for (int i = 0; i < 20; ++i) {
    clock_.advance(0.04);
    pace.taken();
  }
  clock_.advance(0.2);
  EXPECT_NEAR(pace.news()->per_s, kMargin * 20, 1e-6);
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
  EXPECT_NEAR(pace.news()->per_s, kMargin * 80, 1e-6);
  clock_.advance(3600);
  EXPECT_NEAR(pace.news()->per_s, 95, 1e-6);
}

TEST_F(PaceTest, ARateThatHasGrownUnusedIsLearnedAnew) {
  Pace pace;
  learn(pace, 100);
  EXPECT_NEAR(pace.news()->per_s, kMargin * 100, 1e-6);
  clock_.advance(3600);
  EXPECT_GT(pace.news()->per_s, 1e6);
  learn(pace, 100);
  EXPECT_NEAR(pace.news()->per_s, kMargin * 100, 1e-6);
}

TEST_F(PaceTest, TheRateGrowsAgain) {
  Pace pace;
  learn(pace, 100);
  EXPECT_NEAR(pace.news()->per_s, kMargin * 100, 1e-6);
  clock_.advance(61);
  EXPECT_NEAR(pace.news()->per_s, kMargin * 100 * 1.25, 1e-6);
  clock_.advance(120);
  EXPECT_NEAR(pace.news()->per_s, kMargin * 100 * 1.25 * 1.25 * 1.25, 1e-6);
}

}  // namespace
}  // namespace lambdaml::aws
