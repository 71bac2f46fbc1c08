#include "lambdaml/optim/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/testing/testing.h"

namespace lambdaml::optim {
namespace {

LearningRate rate(const std::map<std::string, std::string>& values, double epochs = 8,
                  std::uint64_t passes = 1, std::uint64_t rounds = 4) {
  Plugin plugin;
  plugin.options = learning_rate_options();
  return LearningRate(testing::options_of(plugin, values), epochs, passes, rounds);
}

// All values by hand from the definitions in schedule.h.
TEST(LearningRate, Constant) {
  EXPECT_EQ(rate({{"lr", "0.4"}}).at({.epoch = 0}), 0.4);
  EXPECT_EQ(rate({{"lr", "0.4"}}).at({.epoch = 7, .round = 3}), 0.4);
}

TEST(LearningRate, StepsFallAfterWholeEpochs) {
  const LearningRate r =
      rate({{"lr", "0.8"}, {"lr_schedule", "step"}, {"lr_decay", "0.5"}, {"lr_step", "3"}});
  EXPECT_DOUBLE_EQ(r.at({.epoch = 2, .round = 3}), 0.8);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 3}), 0.4);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 7}), 0.2);
}

TEST(LearningRate, CosineFallsFromAllToNothing) {
  const LearningRate r = rate({{"lr", "1"}, {"lr_schedule", "cosine"}});
  EXPECT_DOUBLE_EQ(r.at({.epoch = 0}), 1);
  EXPECT_NEAR(r.at({.epoch = 2}), 0.5 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(r.at({.epoch = 4}), 0.5, 1e-12);
  EXPECT_NEAR(r.at({.epoch = 5, .round = 1}), 0.5 * (1 + std::cos(5.25 / 8 * std::acos(-1.0))),
              1e-12);
  EXPECT_NEAR(r.at({.epoch = 8}), 0, 1e-12);
  EXPECT_NEAR(r.at({.epoch = 12}), 0, 1e-12);  // a resumed job may go on beyond
}

TEST(LearningRate, InverseCountsRoundsAndPassesAsFractions) {
  const LearningRate r =
      rate({{"lr", "1"}, {"lr_schedule", "inverse"}, {"lr_decay", "2"}}, 8, 2, 4);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 0}), 1);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 1, .pass = 1, .round = 2}), 1 / (1 + 2 * 1.75));
}

TEST(LearningRate, WarmsUpOverTheFirstEpochs) {
  const LearningRate r = rate({{"lr", "1"}, {"warmup_epochs", "2"}});
  EXPECT_DOUBLE_EQ(r.at({.epoch = 0}), 1.0 / 8);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 1, .round = 1}), 6.0 / 8);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 1, .round = 3}), 1);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 5}), 1);
}

TEST(LearningRate, UnknownScheduleNamesTheKnown) {
  try {
    rate({{"lr_schedule", "cosin"}});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("did you mean 'cosine'"));
  }
}

}  // namespace
}  // namespace lambdaml::optim
