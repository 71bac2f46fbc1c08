#include "lambdaml/control/worker_claim.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::control {
namespace {

class WorkerClaimTest : public testing::Test {
 protected:
  std::shared_ptr<storage::Storage> channel() const { return storage::open(uri_); }

 private:
  const std::string uri_ = "memory://claim-" +
                           std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(WorkerClaimTest, TheNewestTryOfAWorkerCounts) {
  WorkerClaim first(channel(), 3), second(channel(), 3), other(channel(), 4);
  EXPECT_FALSE(first.is_superseded());
  first.claim();
  other.claim();
  first.require();
  second.claim();
  second.require();
  other.require();
  EXPECT_THROW(first.require(), Superseded);
  EXPECT_TRUE(first.is_superseded());
  EXPECT_FALSE(second.is_superseded());
}

TEST_F(WorkerClaimTest, ATokenThatWasReadOnceDoesNotCount) {
  int damaged = 0;
  const auto plain = channel();
  std::string own;
  WorkerClaim claim(storage::with_faults(plain,
                                         [&](std::string_view call, std::string_view key) {
                                           if (call != "load") return;
                                           const bool harms = damaged > 0;
                                           const std::string token =
                                               harms ? fmt::format("{}?", damaged--) : own;
                                           plain->save(key, as_bytes(token));
                                         }),
                    0);
  claim.claim();
  own = claim.token();
  for (const int times : {1, 2, 9}) {
    damaged = times;
    EXPECT_NO_THROW(claim.require()) << times;
  }
  damaged = 9;
  EXPECT_FALSE(claim.is_superseded());
  damaged = 1000;
  try {
    claim.require();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
  }
}

TEST_F(WorkerClaimTest, AStoppedJobIsNotAnotherTry) {
  WorkerClaim claim(channel(), 0);
  claim.claim();
  channel()->save(keys::claim(0), as_bytes(WorkerClaim::kStop));
  EXPECT_THROW(claim.require(), Stopped);
  EXPECT_FALSE(claim.is_superseded());
  channel()->save(keys::claim(0), as_bytes(WorkerClaim::kNewTrigger));
  EXPECT_THROW(claim.require(), Superseded);
}

TEST_F(WorkerClaimTest, WhatIsGoneFromAChannelThatKeepsItWasCleared) {
  ASSERT_TRUE(channel()->capabilities().durable);
  WorkerClaim claim(channel(), 0);
  claim.claim();
  channel()->clear("");
  EXPECT_THROW(claim.require(), JobIsOver);
  EXPECT_FALSE(claim.is_superseded());
  // Others than workers have a store that may be cleared under them.
  WorkerClaim tuner(channel(), "tuner", "the tuner");
  tuner.claim();
  channel()->clear("");
  tuner.require();
}

}  // namespace
}  // namespace lambdaml::control
