#include "lambdaml/control/lease.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::control {
namespace {

using Taken = Lease::Taken;

class LeaseTest : public testing::Test {
 protected:
  /// Each holder opens the store for itself, as invocations do.
  std::unique_ptr<Lease> lease(double lives_s = 600, double silence_s = 60) const {
    return std::make_unique<Lease>(storage::open(uri_), "job/trigger/0", Deadline::in(lives_s),
                                   silence_s);
  }

 private:
  const std::string uri_ = "memory://lease-" +
                           std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(LeaseTest, OneOfManyHasItAtATimeAndTheRestWhenItFails) {
  std::atomic<int> holders{0};
  std::atomic<int> turns{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto mine = lease();
      ASSERT_EQ(mine->take(Deadline::in(30)), Taken::yes);
      EXPECT_EQ(++holders, 1);
      std::this_thread::yield();
      --holders;
      ++turns;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turns, 8);
}

TEST_F(LeaseTest, WhatIsFinishedIsNotDoneAgain) {
  const auto first = lease();
  ASSERT_EQ(first->take(Deadline::in(0)), Taken::yes);
  EXPECT_EQ(lease()->take(Deadline::in(0.01)), Taken::no);
  std::thread waiting([this] { EXPECT_EQ(lease()->take(Deadline::in(30)), Taken::finished); });
  first->finish();
  waiting.join();
  EXPECT_EQ(lease()->take(Deadline::in(0)), Taken::finished);
}

TEST_F(LeaseTest, WhoIsSilentIsTakenForDeadAndLearnsIt) {
  const auto first = lease(600, 0.05);
  ASSERT_EQ(first->take(Deadline::in(0)), Taken::yes);
  const Stopwatch clock;
  while (clock.seconds() < 0.02) std::this_thread::yield();
  first->renew();
  const auto second = lease(600, 60);
  ASSERT_EQ(second->take(Deadline::in(30)), Taken::yes);
  EXPECT_GE(clock.seconds(), 0.05);
  EXPECT_THROW(first->renew(), Superseded);
  EXPECT_EQ(lease()->take(Deadline::in(0)), Taken::no) << "the second's lease was given back";
}

TEST_F(LeaseTest, WhoseTimeIsOverIsTakenForDead) {
  const auto first = lease(0.05);
  ASSERT_EQ(first->take(Deadline::in(0)), Taken::yes);
  EXPECT_EQ(lease()->take(Deadline::in(30)), Taken::yes);
}

/// The answer to the first one's create() is lost, and the other one creates in between. Where the
/// values were equal the first took the other's for its own.
TEST_F(LeaseTest, TwoThatWouldHoldItEquallyLongAreToldApart) {
  const auto inner = storage::open("memory://lease-equal");
  const Deadline expires = Deadline::in(600);
  for (int i = 0; i < 50; ++i) {
    const std::string key = "k" + std::to_string(i);
    Lease second(inner, key, expires);
    int creates = 0;
    const auto faulty = storage::with_faults(inner, [&](std::string_view verb, std::string_view) {
      if (verb != "create" || ++creates != 1) return;
      EXPECT_EQ(second.take(Deadline::in(0)), Taken::yes);
      fail(Code::unavailable, "the answer was lost");
    });
    Lease first(storage::with_retry(faulty), key, expires);
    EXPECT_EQ(first.take(Deadline::in(0)), Taken::no);
  }
}

TEST_F(LeaseTest, AStoreThatDoesNotAnswerEndsNothing) {
  bool gone = false;
  const auto store = storage::with_faults(storage::open("memory://lease-gone"),
                                          [&](std::string_view, std::string_view) {
                                            if (gone) fail(Code::unavailable, "gone");
                                          });
  Lease lease(store, "k", Deadline::in(60), 0);
  ASSERT_EQ(lease.take(Deadline::in(0)), Taken::yes);
  gone = true;
  EXPECT_NO_THROW(lease.renew());
  gone = false;
  lease.finish();
  EXPECT_EQ(Lease(store, "k", Deadline::in(60)).take(Deadline::in(0)), Taken::finished);
}

TEST_F(LeaseTest, WhatMayHaveBeenMarkedAsDoneIsNotGivenBack) {
  bool gone = false;
  const auto store = storage::with_faults(storage::open("memory://lease-marked"),
                                          [&](std::string_view, std::string_view) {
                                            if (gone) fail(Code::unavailable, "gone");
                                          });
  EXPECT_FALSE(Lease::was_taken(*store, "k"));
  {
    Lease lease(store, "k", Deadline::in(60));
    ASSERT_EQ(lease.take(Deadline::in(0)), Taken::yes);
    gone = true;
    lease.finish();
    gone = false;
  }
  EXPECT_TRUE(Lease::was_taken(*store, "k"));
  EXPECT_EQ(Lease(store, "k", Deadline::in(60)).take(Deadline::in(0)), Taken::no);
}

TEST_F(LeaseTest, AHolderThatIsNoneIsNoHolder) {
  const auto store = storage::open("memory://lease-garbage");
  for (const char* text : {"", "nonsense", "[1]", "{\"until_ms\":\"x\"}", "{\"finished\":1}"}) {
    store->save("k/0", as_bytes(std::string_view(text)));
    EXPECT_EQ(Lease(store, "k", Deadline::in(60)).take(Deadline::in(0)), Taken::yes) << text;
    store->clear("");
  }
}

}  // namespace
}  // namespace lambdaml::control
