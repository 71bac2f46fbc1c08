#include "lambdaml/plan/goal_pilots.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/job/options.h"

namespace lambdaml::plan {
namespace {

using testing::HasSubstr;

TEST(Curve, IsStraightInLogarithms) {
  Curve curve;
  curve.add(10, 100);
  curve.add(1000, 1);
  EXPECT_NEAR(*curve.at(100, false), 10, 1e-9);
  EXPECT_EQ(curve.at(10, false), 100);
  EXPECT_EQ(curve.at(5000, true), 1) << "no further than it is known";
  EXPECT_EQ(curve.at(1, false), 100);
  EXPECT_NEAR(*curve.at(1, true), 1000, 1e-6);
  curve.add(100'000, std::nullopt);
  EXPECT_FALSE(curve.at(2000, false));
  EXPECT_FALSE(curve.at(200'000, false));
  EXPECT_TRUE(curve.at(1000, false));
}

/// Logistic regression with 16,000 rows, to a goal that is not near its optimum.
class Goal : public testing::Test {
 protected:
  static constexpr double kRows = 16'000;

  Goal() : job_(job::job_options()) {
    rows_ = std::make_shared<const data::Dataset>(
        data::synthesize({.kind = "higgs", .rows = static_cast<std::uint64_t>(kRows), .seed = 3}));
    set("data", "rows");
    set("until", "train_loss<=0.66");
    world_.profile = sim::Profile::open("aws-x86");
    world_.channel = "s3-express";
  }

  void set(const char* name, const std::string& value) { job_.parse(name, value, "test"); }
  static Way way(std::map<std::string, std::string> options) {
    return {.options = std::move(options)};
  }

  PilotReport pilots(const std::vector<Way>& ways, PilotSettings settings) const {
    return run_goal_pilots(job_, ways, world_, *rows_, kRows, settings);
  }
  /// What the whole job takes.
  double epochs(const Way& way, std::int64_t workers) const {
    SimulatedWorld world = world_;
    world.rows = rows_;
    Options job = way.applied_to(job_);
    job.set("workers", Option::Value(workers), "test");
    const SimulatedRun run = simulate(in_world(job, world), world, 1);
    EXPECT_EQ(run.ended_by, "until") << way.text();
    return static_cast<double>(run.epochs);
  }

  Options job_;
  std::shared_ptr<const data::Dataset> rows_;
  SimulatedWorld world_;
};

TEST_F(Goal, EpochsOfASampleTellThoseOfAllRows) {
  set("epochs", "40");
  const std::vector<Way> ways{way({{"optim", "grad_avg"}, {"batch_size", "400"}}),
                              way({{"optim", "grad_avg"}, {"batch_size", "2000"}}),
                              way({{"optim", "model_avg"}, {"batch_size", "100"}}),
                              way({{"optim", "lbfgs"}}), way({{"optim", "admm"}})};
  const PilotReport report = pilots(ways, {.rows = 4000, .seconds = 60, .most_workers = 16});
  EXPECT_EQ(report.repeats, 3);
  EXPECT_FALSE(report.is_cut);
  EXPECT_EQ(report.rows, 4000U);
  for (std::size_t i = 0; i < ways.size(); ++i)
    for (const std::int64_t workers : {1, 2, 8}) {
      const std::string what = fmt::format("{}, {} workers", ways[i].text(), workers);
      const std::optional<Epochs> estimate = report.ways[i]->of(static_cast<double>(workers));
      ASSERT_TRUE(estimate) << what;
      EXPECT_LE(estimate->least, estimate->median) << what;
      EXPECT_LE(estimate->median, estimate->most) << what;
      const double real = epochs(ways[i], workers);
      EXPECT_LE(estimate->median, 2 * real + 1) << what;
      EXPECT_GE(estimate->median, real / 2 - 1) << what;
    }
}

TEST_F(Goal, TheSameSeedGivesTheSameEpochs) {
  const std::vector<Way> ways{way({{"optim", "grad_avg"}, {"batch_size", "100"}})};
  const PilotSettings settings{.rows = 1000, .seconds = 60, .most_workers = 4};
  const Epochs one = *pilots(ways, settings).ways[0]->of(3);
  const Epochs other = *pilots(ways, settings).ways[0]->of(3);
  EXPECT_EQ(one.least, other.least);
  EXPECT_EQ(one.median, other.median);
  EXPECT_EQ(one.most, other.most);
}

TEST_F(Goal, WhatNobodyNamedAndTheModelCannotIsLeftOut) {
  std::vector<Way> ways{way({{"optim", "lbfgs"}}), way({{"optim", "em"}})};
  ways[1].is_offered = true;
  const PilotReport report = pilots(ways, {.rows = 1000, .seconds = 60});
  EXPECT_TRUE(report.ways[0]);
  EXPECT_FALSE(report.ways[1]);
  EXPECT_NE(report.errors[1], "");
  ways[1].is_offered = false;
  EXPECT_THROW(pilots(ways, {.rows = 1000, .seconds = 60}), Error);
}

TEST_F(Goal, WhatCannotBeSaidIsAnError) {
  const std::vector<Way> ways{way({{"optim", "lbfgs"}})};
  const auto error = [&](const PilotSettings& settings) -> std::string {
    try {
      pilots(ways, settings);
    } catch (const Error& refused) {
      EXPECT_EQ(refused.code(), Code::invalid_argument);
      return refused.what();
    }
    return {};
  };
  EXPECT_THAT(error({.rows = 63}), HasSubstr("63 rows are too few"));
  EXPECT_THAT(error({.rows = 1000, .seconds = 1e-9}), HasSubstr("--pilot-seconds"));
  set("until", "valid_loss<=0.01");
  EXPECT_THAT(error({.rows = 1000, .seconds = 60}), HasSubstr("the nearest was valid_loss 0."));
}

}  // namespace
}  // namespace lambdaml::plan
