#include "lambdaml/base/service/patience.h"

#include <thread>

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/wait.h"

namespace lambdaml {
namespace {

constexpr PatiencePolicy kPolicy{.outage_s = 20, .first_contact_s = 5};

double left(const Patience::Try& attempt) { return attempt.deadline().seconds_left(); }
Patience::Time ago(double seconds) { return Deadline::in(-seconds).time(); }

TEST(Patience, GivesAStrangerLessTimeThanOneThatHasAnswered) {
  Patience patience(kPolicy);
  EXPECT_FALSE(patience.has_answered());
  EXPECT_NEAR(left(Patience::Try(patience)), 5, 0.5);
  patience.answered();
  EXPECT_TRUE(patience.has_answered());
  patience.failed(time_now());
  EXPECT_NEAR(patience.end_of_outage().seconds_left(), 20, 0.5);
  Patience known({.outage_s = 20, .first_contact_s = 5, .has_answered = true});
  known.failed(time_now());
  EXPECT_NEAR(known.end_of_outage().seconds_left(), 20, 0.5);
}

TEST(Patience, HasOneDeadlineForAllTriesOfAnOutage) {
  Patience patience(kPolicy);
  patience.answered();
  EXPECT_TRUE(patience.end_of_outage().is_never());
  patience.failed(Patience::Try(patience).silent_since());
  pause_for(0.2);
  EXPECT_LT(left(Patience::Try(patience)), 19.9) << "it counts from the first try that failed";
  EXPECT_NEAR(patience.end_of_outage().seconds_left(), 19.8, 0.15);
  patience.answered();
  EXPECT_TRUE(patience.end_of_outage().is_never());
  // One that was sent before the answer has been silent since then, and no longer.
  patience.failed(ago(15));
  EXPECT_GT(patience.end_of_outage().seconds_left(), 19.5);
}

TEST(Patience, LeavesHalfOfTheTimeForAnotherConnection) {
  Patience patience(kPolicy);
  EXPECT_NEAR(left(Patience::Try(patience)), 5, 0.5) << "but not a stranger's";
  patience.answered();
  Patience::Try first(patience);
  EXPECT_NEAR(left(first), 10, 0.5);
  pause_for(0.1);
  patience.failed(first.silent_since());
  EXPECT_NEAR(left(Patience::Try(patience)), 19.9, 0.5);
  Patience::Try asked_to_wait(patience);
  asked_to_wait.asks_to_wait(60);
  EXPECT_GT(left(asked_to_wait), 55);
}

TEST(Patience, IsWithWhatMoves) {
  Patience patience({.outage_s = 0.4, .first_contact_s = 0.2, .slowest_bytes_per_s = 1000});
  patience.answered();
  // 1 KB/s over 0.4 s is 400 bytes.
  Patience::Try slow(patience);
  Patience::Try fast(patience);
  const Stopwatch clock;
  slow.received(1);
  fast.received(1);
  for (int i = 0; i < 6; ++i) {
    pause_for(0.1);
    slow.received(20);
    fast.received(500);
  }
  EXPECT_TRUE(slow.deadline().passed());
  EXPECT_NE(slow.why_late().find("too slow"), std::string::npos) << slow.why_late();
  EXPECT_FALSE(fast.deadline().passed());
  // What began to move in an outage is not cut with it.
  patience.failed(ago(10));
  EXPECT_FALSE(fast.deadline().passed());
  // What the kernels swallow of a request is no sign of life.
  Patience again({.outage_s = 20, .has_answered = true});
  again.failed(ago(19));
  Patience::Try upload(again);
  upload.sent(12 << 20);
  EXPECT_LT(left(upload), 2);
  upload.sent(12 << 20);
  EXPECT_GT(left(upload), 10);
}

TEST(Patience, ForgetsAFailureAfterWhichNobodyHasTried) {
  Patience patience({.outage_s = 20, .has_answered = true});
  patience.failed(ago(1));
  EXPECT_LT(left(Patience::Try(patience)), 19.5);
  // A try that begins more than five seconds after the last failure belongs to another outage.
  Patience old({.outage_s = 20, .has_answered = true});
  old.failed(ago(10));
  EXPECT_LT(old.end_of_outage().seconds_left(), 10.5);
}

TEST(PatienceOfACall, ThatAskedNothingWasNoProbe) {
  Patience patience({.outage_s = 60, .has_answered = true});
  patience.give_up();
  {
    Patience::Call opening(patience);
    ASSERT_TRUE(opening.begin_try());
    opening.withdraw_try();
  }
  Patience::Call probe(patience);
  EXPECT_TRUE(probe.begin_try());
  Patience::Call next(patience);
  EXPECT_FALSE(next.begin_try());
}

TEST(PatienceOfACall, EndsWithItsFirstFailureWhateverOthersGet) {
  Patience patience({.outage_s = 0.3, .has_answered = true});
  Patience::Call call(patience);
  ASSERT_TRUE(call.begin_try());
  call.failed(time_now());
  EXPECT_FALSE(call.is_hopeless(100, 5)) << "time counts, not tries";
  std::thread([&] { patience.answered(); }).join();
  pause_for(0.35);
  EXPECT_TRUE(call.is_hopeless(1, 5));
  EXPECT_TRUE(Patience::Try(patience).deadline().passed());
  std::thread([&] { EXPECT_FALSE(Patience::Try(patience).deadline().passed()); }).join();
}

TEST(PatienceOfACall, CountsTheTriesOfAStranger) {
  Patience patience(kPolicy);
  Patience::Call call(patience);
  ASSERT_TRUE(call.begin_try());
  call.failed(time_now());
  EXPECT_FALSE(call.is_hopeless(4, 5));
  EXPECT_TRUE(call.is_hopeless(5, 5));
}

TEST(PatienceOfACall, IsAtItsEndAtOnceForWhatWasGivenUp) {
  Patience patience({.outage_s = 20, .has_answered = true});
  patience.failed(ago(20));
  patience.give_up();
  EXPECT_TRUE(patience.is_given_up());
  {
    Patience::Call probe(patience);
    EXPECT_TRUE(probe.begin_try());
    EXPECT_LE(left(Patience::Try(patience)), 0.5);
    probe.failed(time_now());
    EXPECT_TRUE(probe.is_hopeless(1, 5));
  }
  {
    Patience::Call later(patience);
    EXPECT_FALSE(later.begin_try()) << "one probe is enough for a while";
    try {
      later.fail_given_up("redis://host");
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::unavailable);
      EXPECT_NE(std::string(error.what()).find("redis://host"), std::string::npos);
    }
  }
  patience.answered();
  EXPECT_FALSE(patience.is_given_up());
  Patience::Call back(patience);
  EXPECT_TRUE(back.begin_try());
  EXPECT_GT(left(Patience::Try(patience)), 5);
}

TEST(PatienceOfACall, KnowsWhetherItsWaitWasAnswered) {
  Patience patience(kPolicy);
  Patience::Call call(patience);
  ASSERT_TRUE(call.begin_try());
  EXPECT_FALSE(call.was_answered());
  std::thread([&] { patience.answered(); }).join();
  EXPECT_FALSE(call.was_answered()) << "that was another's";
  patience.answered();
  EXPECT_TRUE(call.was_answered());
  ASSERT_TRUE(call.begin_try());
  EXPECT_FALSE(call.was_answered());
}

}  // namespace
}  // namespace lambdaml
