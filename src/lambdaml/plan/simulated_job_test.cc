#include "lambdaml/plan/simulated_job.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/worker/worker.h"

namespace lambdaml::plan {
namespace {

namespace fs = std::filesystem;

/// Forty rows of two classes in a file.
class SimulatedJob : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("lambdaml-plan-test-{}", ::getpid());
    fs::create_directories(folder_);
    std::string text;
    for (int i = 0; i < 40; ++i)
      text += fmt::format("{} 1:{} 2:{} 3:{}\n", i % 2, (i * 7) % 5 + i % 2, (i * 3) % 4, i % 3);
    write_file(folder_ / "rows.libsvm", as_bytes(text));
  }
  void TearDown() override { fs::remove_all(folder_); }

  Options job(const std::map<std::string, std::string>& values = {}) const {
    Options out = job::job_options();
    out.parse("data", (folder_ / "rows.libsvm").string(), "test");
    out.parse("optim", "grad_avg", "test");
    out.parse("epochs", "3", "test");
    out.parse("batch_size", "5", "test");
    out.parse("workers", "3", "test");
    for (const auto& [name, value] : values) out.parse(name, value, "test");
    return out;
  }
  static SimulatedWorld world(const std::string& channel = "s3-express") {
    SimulatedWorld out;
    out.profile = sim::Profile::open("aws-x86");
    out.channel = channel;
    return out;
  }

  fs::path folder_;
};

TEST_F(SimulatedJob, ASeedIsASchedule) {
  const Options options = in_world(job(), world());
  const SimulatedRun one = simulate(options, world(), 7);
  const SimulatedRun again = simulate(options, world(), 7);
  const SimulatedRun other = simulate(options, world(), 8);
  EXPECT_EQ(one.fingerprint, again.fingerprint);
  EXPECT_EQ(one.seconds, again.seconds);
  EXPECT_EQ(one.usd(), again.usd());
  EXPECT_NE(one.fingerprint, other.fingerprint);
  EXPECT_NE(one.seconds, other.seconds);
}

TEST_F(SimulatedJob, TheModelIsThatOfARealJob) {
  worker::register_handler();
  Options real = job();
  real.parse("platform", "threads", "test");
  real.parse("channel", "memory://plan-test", "test");
  real.parse("threads", "1", "test");
  real.parse("output", (folder_ / "real").string(), "test");
  job::resolve(real);
  trigger::Observer silent;
  const auto summary = trigger::train(real, silent);
  for (const char* channel : {"s3-standard", "redis-t4g.small", "dynamodb"}) {
    const SimulatedRun run = simulate(in_world(job(), world(channel)), world(channel), 1);
    EXPECT_EQ(run.train_loss, summary.at("train_loss").get<double>()) << channel;
    EXPECT_EQ(run.rounds, summary.at("rounds").get<std::uint64_t>()) << channel;
  }
}

TEST_F(SimulatedJob, SlowStoresAndSlowRowsTakeLonger) {
  const auto seconds_over = [&](const std::string& channel, double per_row) {
    SimulatedWorld place = world(channel);
    place.seconds_per_row = per_row;
    return simulate(in_world(job(), place), place, 1).seconds;
  };
  const double cache = seconds_over("redis-r7g.large", 0);
  EXPECT_GT(seconds_over("s3-express", 0), 2 * cache);
  EXPECT_GT(seconds_over("s3-standard", 0), 3 * seconds_over("s3-express", 0));
  // 36 training rows in three epochs over three workers, and evaluations.
  const double slow = seconds_over("redis-r7g.large", 0.1) - cache;
  EXPECT_GT(slow, 0.1 * 36);
  EXPECT_LT(slow, 0.1 * 36 * 2);
}

TEST_F(SimulatedJob, AWorkerOfAHostUsesItsProcessorsAndWakesThem) {
  SimulatedWorld place = world("redis-r7g.large");
  place.profile.functions.host_processors = 4;
  const auto seconds_with = [&](double threads_s, const char* workers) {
    SimulatedWorld host = place;
    host.seconds_per_row = 0.1;
    host.profile.functions.threads_s = threads_s;
    return simulate(in_world(job({{"workers", workers}}), host), host, 1).seconds;
  };
  const double alone_s = seconds_with(0, "1");
  EXPECT_GT(seconds_with(0.05, "1"), alone_s + 3 * 0.05) << "of three steps, and of evaluations";
  EXPECT_EQ(seconds_with(0.05, "4"), seconds_with(0, "4")) << "each has one processor";
}

TEST_F(SimulatedJob, RequestsAreBilledAsTheirStoreDoes) {
  const SimulatedRun run = simulate(in_world(job(), world("s3-standard")), world("s3-standard"), 1);
  EXPECT_NEAR(
      run.requests_usd,
      5e-6 * static_cast<double>(run.puts + run.lists) + 4e-7 * static_cast<double>(run.gets),
      1e-9);
  EXPECT_EQ(run.servers_usd, 0);
  EXPECT_GT(run.functions_usd, 0);
  EXPECT_GT(
      simulate(in_world(job(), world("redis-t4g.small")), world("redis-t4g.small"), 1).servers_usd,
      0);
}

TEST_F(SimulatedJob, AFunctionWhoseTimeIsOverContinues) {
  SimulatedWorld place = world("redis-r7g.large");
  place.seconds_per_row = 0.5;
  const Options longer = in_world(job(), place);
  const Options shorter = in_world(job({{"timeout_s", "8"}}), place);
  const SimulatedRun one = simulate(longer, place, 1);
  const SimulatedRun other = simulate(shorter, place, 1);
  EXPECT_EQ(one.train_loss, other.train_loss);
  EXPECT_GT(other.functions_usd, one.functions_usd);
}

TEST_F(SimulatedJob, WorkersThatAreKilledAreTriedAgain) {
  SimulatedWorld place = world();
  const double loss = simulate(in_world(job(), place), place, 1).train_loss;
  place.prepare = [](sim::World& world) {
    world.faults = [n = 0](const sim::Call& call) mutable {
      const bool kills = call.process.starts_with("worker-1") && ++n == 20;
      return sim::Fault{kills ? sim::Fault::Kind::killed_before : sim::Fault::Kind::none};
    };
  };
  const SimulatedRun run = simulate(in_world(job(), place), place, 1);
  EXPECT_EQ(run.train_loss, loss);
}

TEST_F(SimulatedJob, TheLogIsAsItWasAfterwards) {
  log::keep_recent(10'000);
  log::configure(log::Level::warning, log::Format::json, "\"worker\":3");
  {
    const log::QuietLog quiet;
    const log::QuietLog inner;
    log::warning("nobody asked for it");
  }
  log::warning("said again");
  const std::string lines = log::recent();
  EXPECT_THAT(lines, testing::HasSubstr("\"worker\":3,\"message\":\"said again\""));
  EXPECT_THAT(lines, testing::Not(testing::HasSubstr("nobody asked")));
  log::forget_recent();
  simulate(in_world(job(), world()), world(), 1);
  log::warning("after a job");
  EXPECT_THAT(log::recent(), testing::HasSubstr("\"message\":\"after a job\""));
  log::configure(log::Level::warning, log::Format::text);
  log::keep_recent(0);
  log::forget_recent();
}

TEST_F(SimulatedJob, AMemoryThatTheProfileDoesNotHaveIsRefused) {
  EXPECT_THROW(in_world(job({{"memory_mb", "64"}}), world()), Error);
}

TEST_F(SimulatedJob, AChannelIsAStoreOrItsScheme) {
  const sim::Profile profile = sim::Profile::open("aws-x86");
  EXPECT_EQ(store_for_channel(profile, "s3-express"), "s3-express");
  EXPECT_EQ(store_for_channel(profile, "s3://bucket/prefix"), "s3-standard");
  EXPECT_EQ(store_for_channel(profile, "s3://bucket--use1-az4--x-s3/prefix"), "s3-express");
  EXPECT_EQ(store_for_channel(profile, "redis://host"), "redis-t4g.small");
  EXPECT_THROW(store_for_channel(profile, "ftp://host"), Error);
}

}  // namespace
}  // namespace lambdaml::plan
