#include "lambdaml/plan/what_if.h"

#include <gtest/gtest.h>

namespace lambdaml::plan {
namespace {

TEST(WhatIf, OtherEpochsAreOtherRequests) {
  const sim::Profile profile = sim::Profile::open("aws-x86");
  Candidate one;
  one.channel = "s3-standard";
  one.workers = 4;
  one.memory_mb = 1024;
  one.epochs = one.pilot_epochs = {2, 4, 8};
  one.epoch_usd = 0.5;  // beside which the functions are cheap
  one.compute_s = 1;
  one.rounds_s = 3;
  one.seconds = 5;
  one.seconds_p90 = 9;
  one.usd = 2;
  one.usd_p90 = 4;
  constexpr double kFunctions = 2e-3;
  const Circumstances slowest{.epochs = &Epochs::most}, quickest{.epochs = &Epochs::least};
  Candidate then = in_circumstances(one, profile, slowest);
  EXPECT_DOUBLE_EQ(then.seconds, 9);
  EXPECT_DOUBLE_EQ(then.seconds_p90, 9) << "these are the epochs of its p90";
  EXPECT_NEAR(then.usd, 4, kFunctions);
  EXPECT_GT(then.usd, 4);
  then = in_circumstances(one, profile, quickest);
  EXPECT_DOUBLE_EQ(then.seconds, 3);
  EXPECT_NEAR(then.usd, 1, kFunctions);
  // A simulated one has its epochs, and changes by as much as others of its way.
  one.is_simulated = true;
  one.epochs = {6, 6, 6};
  one.usd = 3;
  then = in_circumstances(one, profile, quickest);
  EXPECT_DOUBLE_EQ(then.seconds, 3);
  EXPECT_NEAR(then.usd, 1.5, kFunctions);
  then = in_circumstances(one, profile, {.rounds = 2});
  EXPECT_DOUBLE_EQ(then.seconds, 8);
  EXPECT_NEAR(then.usd, 3, kFunctions) << "as many requests, which take longer";
}

}  // namespace
}  // namespace lambdaml::plan
