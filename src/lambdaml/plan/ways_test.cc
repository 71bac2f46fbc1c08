#include "lambdaml/plan/ways.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/job/options.h"

namespace lambdaml::plan {
namespace {

using testing::HasSubstr;

Options job_with(const std::map<std::string, std::string>& values) {
  Options out = job::job_options();
  out.parse("data", "rows.libsvm", "test");
  for (const auto& [name, value] : values) out.parse(name, value, "test");
  return out;
}

std::vector<std::string> texts(const std::vector<Way>& ways) {
  std::vector<std::string> out;
  for (const Way& way : ways) out.push_back(way.text());
  return out;
}

std::string error_of(const Options& job, const WaysAsked& asked) {
  try {
    ways_of(job, asked);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return {};
}

const std::map<std::string, std::string> kGoal{{"until", "valid_loss<=0.5"}};

TEST(Ways, WithoutAGoalTheJobIsTrainedAsItSays) {
  EXPECT_TRUE(ways_of(job_with({}), {}).empty());
  EXPECT_TRUE(ways_of(job_with(kGoal), {.has_pilots = false}).empty());
}

TEST(Ways, AGoalIsReachedByAllOptimizersIfTheJobNamesNone) {
  const std::vector<Way> ways = ways_of(job_with(kGoal), {});
  ASSERT_FALSE(ways.empty());
  EXPECT_EQ(ways.front().text(), "optim=lbfgs") << "the job's own comes first";
  EXPECT_FALSE(ways.front().is_offered);
  EXPECT_THAT(
      texts(ways),
      testing::IsSupersetOf({"batch_size=250, optim=model_avg", "batch_size=1000, optim=grad_avg",
                             "batch_size=4000, optim=grad_avg", "optim=admm"}));
}

TEST(Ways, AnOptimizerThatTheJobNamesIsKept) {
  const auto ways = ways_of(
      job_with({{"until", "valid_loss<=0.5"}, {"optim", "model_avg"}, {"batch_size", "2"}}), {});
  EXPECT_THAT(texts(ways), testing::ElementsAre("batch_size=2, optim=model_avg",
                                                "batch_size=8, optim=model_avg"));
}

TEST(Ways, ListsAreMultiplied) {
  const auto ways = ways_of(job_with(kGoal),
                            {.optims = {"grad_avg", "lbfgs"}, .batch_sizes = {"10", "100", "10"}});
  EXPECT_THAT(texts(ways), testing::ElementsAre("batch_size=10, optim=grad_avg",
                                                "batch_size=100, optim=grad_avg", "optim=lbfgs"));
  for (const Way& way : ways) EXPECT_FALSE(way.is_offered);
}

TEST(Ways, BatchSizesWithoutAGoalAreForAsManyEpochs) {
  const auto ways = ways_of(job_with({{"optim", "grad_avg"}}), {.batch_sizes = {"10", "100"}});
  EXPECT_EQ(ways.size(), 2U);
}

TEST(Ways, OneWithEpochsIsKnown) {
  const auto ways =
      ways_of(job_with({}),
              {.ways = {"optim=grad_avg, batch-size=50,epochs=8", "optim=admm,admm_epochs=3"}});
  ASSERT_EQ(ways.size(), 2U);
  EXPECT_EQ(ways[0].text(), "batch_size=50, epochs=8, optim=grad_avg");
  EXPECT_TRUE(ways[0].is_known);
  EXPECT_TRUE(ways[1].is_known);
  const auto unknown = ways_of(job_with(kGoal), {.ways = {"optim=grad_avg,lr=0.5"}});
  ASSERT_EQ(unknown.size(), 1U);
  EXPECT_FALSE(unknown[0].is_known);
}

TEST(Ways, BadInputIsNamed) {
  const auto way = [](const char* text) { return WaysAsked{.ways = {text}}; };
  EXPECT_THAT(error_of(job_with(kGoal), {.optims = {"lbfg"}}), HasSubstr("did you mean 'lbfgs'"));
  EXPECT_THAT(error_of(job_with(kGoal), {.batch_sizes = {"0"}}), HasSubstr("batch_size"));
  EXPECT_THAT(error_of(job_with({}), {.optims = {"lbfgs"}}), HasSubstr("--until"));
  EXPECT_THAT(error_of(job_with({}), way("batch_size")), HasSubstr("write it as"));
  EXPECT_THAT(error_of(job_with({}), way("batch_sise=1")), HasSubstr("batch_size"));
  EXPECT_THAT(error_of(job_with({}), way("workers=3,epochs=2")), HasSubstr("workers does not say"));
  EXPECT_THAT(error_of(job_with({}), way("until=valid_loss<=1,epochs=2")), HasSubstr("until"));
  EXPECT_THAT(error_of(job_with({}), way("optim=admm,epochs=2")), HasSubstr("admm_epochs=N"));
  EXPECT_THAT(error_of(job_with({}), way("batch_size=10")), HasSubstr("--until"));
}

}  // namespace
}  // namespace lambdaml::plan
