#include "lambdaml/plan/planner.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/job/options.h"

namespace lambdaml::plan {
namespace {

namespace fs = std::filesystem;

/// 1,200 rows of two classes in a file, trained for ten epochs.
class Planned : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("lambdaml-planner-test-{}", ::getpid());
    fs::create_directories(folder_);
    std::string text;
    for (int i = 0; i < 1200; ++i)
      text += fmt::format("{} 1:{} 2:{} 3:{}\n", i % 2, (i * 7) % 5 + i % 2, (i * 3) % 4, i % 3);
    write_file(folder_ / "rows.libsvm", as_bytes(text));
  }
  void TearDown() override { fs::remove_all(folder_); }

  Question question() const {
    Question out;
    out.job = job::job_options();
    out.job.parse("data", (folder_ / "rows.libsvm").string(), "test");
    out.job.parse("optim", "grad_avg", "test");
    out.job.parse("epochs", "10", "test");
    out.job.parse("batch_size", "50", "test");
    out.profile = sim::Profile::open("aws-x86");
    out.seconds_per_row = 2e-3;
    out.channels = {"s3-standard", "s3-express"};
    out.most_workers = 16;
    out.simulated = 4;
    out.seeds = 2;
    return out;
  }

  fs::path folder_;
};

TEST_F(Planned, TheFastestIsFoundAndSimulated) {
  Question asked = question();
  asked.aim = Aim::time;
  const Plan found = plan(asked);
  ASSERT_TRUE(found.best);
  const Candidate& best = found.candidates[*found.best];
  EXPECT_EQ(best.channel, "s3-express") << "its requests take a fifth of the time";
  EXPECT_GT(best.workers, 1) << "computing takes 24 s on one processor";
  EXPECT_TRUE(best.is_simulated);
  EXPECT_LE(best.seconds_p10, best.seconds);
  EXPECT_LE(best.seconds, best.seconds_p90);
  for (const Candidate& one : found.candidates) {
    EXPECT_GE(one.seconds, best.seconds);
    if (!one.is_simulated) continue;
    const std::string what = fmt::format("{} workers over {}", one.workers, one.channel);
    EXPECT_NEAR(one.estimated_s / one.seconds, 1, 0.2) << what;
    EXPECT_NEAR(one.estimated_usd / one.usd, 1, 0.2) << what;
  }
  EXPECT_FALSE(found.hosts.empty());
}

TEST_F(Planned, NothingOnTheFrontIsBeatenInBoth) {
  const Plan found = plan(question());
  std::size_t on_front = 0;
  for (const Candidate& one : found.candidates) {
    const bool is_beaten = std::ranges::any_of(found.candidates, [&](const Candidate& other) {
      return other.seconds < one.seconds && other.usd < one.usd;
    });
    EXPECT_FALSE(one.is_on_front && is_beaten);
    on_front += one.is_on_front ? 1 : 0;
  }
  EXPECT_GE(on_front, 2U);
}

TEST_F(Planned, TheNearestIsFirstIfNothingMeetsTheLimits) {
  Question asked = question();
  asked.deadline_s = 0.5;
  const Plan found = plan(asked);
  EXPECT_FALSE(found.best);
  for (const Candidate& one : found.candidates)
    EXPECT_GE(one.seconds_p90, found.candidates.front().seconds_p90);
  asked.deadline_s = 30;
  asked.aim = Aim::cost;
  EXPECT_TRUE(plan(asked).best);
}

TEST_F(Planned, OnOneMachineTheProcessorsAreTheLimitAndTheFastestIsTheBest) {
  Question asked = question();
  asked.profile.functions.host_processors = 2;
  asked.profile.functions.gb_second = asked.profile.functions.request = 0;
  for (sim::StoreProfile& store : asked.profile.stores) store.prices = {};
  const Plan found = plan(asked);
  ASSERT_TRUE(found.best);
  const Candidate& best = found.candidates[*found.best];
  EXPECT_EQ(best.usd, 0);
  EXPECT_GE(best.workers, 2) << "there are two processors";
  for (const Candidate& one : found.candidates) {
    EXPECT_GE(one.seconds, best.seconds);
    EXPECT_EQ(one.memory_mb, best.memory_mb);
    EXPECT_GT(one.compute_s, 10) << "24 s of two processors";
  }
}

TEST_F(Planned, ServersByTheHourAreAPartOfTheDollars) {
  Question asked = question();
  asked.channels = {"redis-t4g.small", "s3-express"};
  asked.most_workers = 2;
  for (const Candidate& one : plan(asked).candidates) {
    const double hour = asked.profile.store(one.channel).prices.hour;
    EXPECT_NEAR(one.servers_usd, hour * one.seconds / 3600, 1e-3 * one.usd);
    EXPECT_LT(one.servers_usd, one.usd);
  }
}

TEST_F(Planned, AsManyAggregatorsAsTheJobWouldHave) {
  Question asked = question();
  asked.channels = {"s3-standard"};
  asked.job.parse("workers", "100", "test");
  EXPECT_EQ(estimate_as_it_is(asked).aggregators, 1);
  asked.job.parse("sync_mode", "reduce_scatter", "test");
  EXPECT_EQ(estimate_as_it_is(asked).aggregators, 35) << "of 100, for 3,500 writes a second";
  asked.channels = {"s3-express"};
  EXPECT_EQ(estimate_as_it_is(asked).aggregators, 100);
  asked.job.parse("aggregators", "4", "test");
  EXPECT_EQ(estimate_as_it_is(asked).aggregators, 4);
}

TEST_F(Planned, WaysAreComparedByTheEpochsOfTheGoal) {
  Question asked = question();
  asked.job = job::job_options();
  asked.job.parse("data", (folder_ / "rows.libsvm").string(), "test");
  asked.job.parse("epochs", "40", "test");
  asked.job.parse("until", "valid_loss<=0.58", "test");
  asked.seconds_per_row = 1e-5;
  asked.ways = ways_of(asked.job, {.batch_sizes = {"50", "200"}});
  asked.pilots.seconds = 60;
  const Plan found = plan(asked);
  ASSERT_TRUE(found.best);
  ASSERT_TRUE(found.pilots);
  std::set<std::string> optimizers;
  for (const Candidate& one : found.candidates) {
    const ResolvedWay& by = found.ways[one.way];
    // What trains the same model takes as many epochs.
    for (const Candidate& other : found.candidates)
      if (other.is_simulated && other.way == one.way && other.workers == one.workers) {
        EXPECT_EQ(one.epochs.least, other.epochs.median) << by.way.text();
        EXPECT_EQ(one.epochs.most, other.epochs.median) << by.way.text();
      }
    optimizers.insert(by.optimizer);
    EXPECT_LE(one.epochs.least, one.epochs.median);
    EXPECT_LE(one.epochs.median, 40);
    EXPECT_LE(one.seconds_p10, one.seconds);
    EXPECT_LE(one.seconds, one.seconds_p90);
    if (!one.is_simulated) continue;
    // What was simulated is what the job will do.
    SimulatedWorld world;
    world.profile = asked.profile;
    world.channel = one.channel;
    Options job = by.way.applied_to(asked.job);
    job.set("workers", Option::Value(one.workers), "test");
    const SimulatedRun run = simulate(in_world(job, world), world, 5);
    EXPECT_EQ(run.ended_by, "until") << by.way.text();
    EXPECT_EQ(static_cast<double>(run.epochs), one.epochs.median) << by.way.text();
  }
  EXPECT_GE(optimizers.size(), 3U);
  EXPECT_FALSE(optimizers.contains("em"));
}

TEST_F(Planned, AWayThatMissesTheGoalIsDroppedOverAllChannels) {
  // Few rows are learned by heart; of all there is nothing to learn.
  std::string text;
  Rng rng(1);
  for (int i = 0; i < 1200; ++i) {
    text += std::to_string(rng.below(2));
    for (int feature = 1; feature <= 30; ++feature)
      text += fmt::format(" {}:{}", feature, rng.below(2) == 0 ? -1 : 1);
    text += '\n';
  }
  write_file(folder_ / "noise.libsvm", as_bytes(text));
  Question asked = question();
  asked.job.parse("data", (folder_ / "noise.libsvm").string(), "test");
  asked.job.parse("optim", "lbfgs", "test");
  asked.job.parse("epochs", "30", "test");
  asked.job.parse("until", "train_loss<=0.6", "test");
  asked.seconds_per_row = 1e-5;
  asked.most_workers = 2;
  asked.ways = ways_of(asked.job, {.optims = {"lbfgs"}});
  asked.pilots.rows = 64;
  asked.pilots.seconds = 60;
  asked.patience_s = 60;
  // Two numbers of workers are simulated, and there are more candidates than `simulated`.
  EXPECT_THAT([&] { plan(asked); },
              testing::Throws<Error>(testing::Property(
                  &Error::what, testing::HasSubstr("of all rows, no way reaches"))));
}

TEST_F(Planned, BatchSizesWithoutAGoalHaveAsManyEpochs) {
  Question asked = question();
  asked.ways = ways_of(asked.job, {.batch_sizes = {"25", "100"}});
  const Plan found = plan(asked);
  EXPECT_FALSE(found.pilots);
  double rounds[2] = {0, 0};
  for (const Candidate& one : found.candidates) {
    EXPECT_EQ(one.epochs.median, 10);
    if (one.workers == 4 && !one.is_simulated) rounds[one.way] = one.rounds;
  }
  EXPECT_EQ(found.ways[0].batch_size, 25);
  EXPECT_EQ(rounds[0] - rounds[1], 10 * (11 - 3)) << "270 rows of each worker";
}

TEST_F(Planned, KnownEpochsNeedNoGoal) {
  Question asked = question();
  asked.ways = ways_of(asked.job, {.ways = {"batch_size=25,epochs=3", "batch_size=100,epochs=30"}});
  const Plan found = plan(asked);
  ASSERT_TRUE(found.best);
  EXPECT_EQ(found.candidates[*found.best].way, 0U) << "a tenth of the computing";
  for (const Candidate& one : found.candidates) EXPECT_EQ(one.epochs.median, one.way == 0 ? 3 : 30);
}

TEST_F(Planned, UnknownChannelsAreRefused) {
  Question asked = question();
  asked.channels = {"s3-expres"};
  EXPECT_THAT([&] { plan(asked); }, testing::Throws<Error>(testing::Property(
                                        &Error::what, testing::HasSubstr("s3-express"))));
}

TEST_F(Planned, AsynchronousJobsAreRefused) {
  Question asked = question();
  asked.job.parse("sync_mode", "async", "test");
  EXPECT_THAT([&] { plan(asked); }, testing::Throws<Error>(testing::Property(
                                        &Error::what, testing::HasSubstr("do not wait"))));
}

}  // namespace
}  // namespace lambdaml::plan
