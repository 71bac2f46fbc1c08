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

TEST(LearningRate, LinearFallsToNothing) {
  const LearningRate r = rate({{"lr", "2"}, {"lr_schedule", "linear"}});
  EXPECT_DOUBLE_EQ(r.at({.epoch = 0}), 2);
  EXPECT_DOUBLE_EQ(r.at({.epoch = 5, .round = 1}), 2 * (1 - 5.25 / 8));
  EXPECT_EQ(r.at({.epoch = 9}), 0);  // a resumed job may go on beyond
}

/// The rates of all steps of a job of 8 epochs of 4 rounds, as torch.optim.lr_scheduler of PyTorch
/// 1.13 gives them for the base rate 0.5.
void expect_rates(const std::map<std::string, std::string>& values,
                  const std::map<std::size_t, double>& pytorch) {
  const LearningRate r = rate(values);
  for (const auto& [step, expected] : pytorch)
    EXPECT_NEAR(r.at({.epoch = step / 4, .round = step % 4}) / expected, 1, 1e-9) << step;
}

TEST(LearningRate, IsPyTorchs) {
  // OneCycleLR(max_lr=0.5, total_steps=32)
  expect_rates({{"lr", "0.5"}, {"lr_schedule", "one_cycle"}}, {{0, 0.02},
                                                               {1, 0.0358361339042},
                                                               {2, 0.0812546761415},
                                                               {5, 0.320704011774},
                                                               {7, 0.460159476294},
                                                               {8, 0.494258210613},
                                                               {9, 0.499606705328},
                                                               {12, 0.472111520549},
                                                               {16, 0.377019328236},
                                                               {24, 0.111108997315},
                                                               {25, 0.0834150218586},
                                                               {30, 0.00245670884701},
                                                               {31, 2e-06}});
  // OneCycleLR(max_lr=0.5, total_steps=32, pct_start=0.25)
  expect_rates({{"lr", "0.5"}, {"lr_schedule", "one_cycle"}, {"warmup_epochs", "2"}},
               {{0, 0.02},
                {1, 0.0437674717034},
                {2, 0.110362447554},
                {5, 0.409637552446},
                {7, 0.5},
                {8, 0.497861223899},
                {9, 0.491481490646},
                {12, 0.448338541719},
                {16, 0.345671475408},
                {24, 0.0978112515092},
                {25, 0.0732250118101},
                {30, 0.00214077610141},
                {31, 2e-06}});
  // LinearLR(1, 0, total_iters=32)
  expect_rates({{"lr", "0.5"}, {"lr_schedule", "linear"}}, {{0, 0.5},
                                                            {1, 0.484375},
                                                            {2, 0.46875},
                                                            {5, 0.421875},
                                                            {7, 0.390625},
                                                            {8, 0.375},
                                                            {9, 0.359375},
                                                            {12, 0.3125},
                                                            {16, 0.25},
                                                            {24, 0.125},
                                                            {25, 0.109375},
                                                            {30, 0.03125},
                                                            {31, 0.015625}});
  // ChainedScheduler([LinearLR(1/8, 1, total_iters=7), CosineAnnealingLR(T_max=32)])
  expect_rates({{"lr", "0.5"}, {"lr_schedule", "cosine"}, {"warmup_epochs", "2"}},
               {{0, 0.0625},
                {1, 0.124699045417},
                {2, 0.185698620038},
                {5, 0.352860237065},
                {7, 0.443252613341},
                {8, 0.426776695297},
                {9, 0.408598321041},
                {12, 0.345670858091},
                {16, 0.25},
                {24, 0.0732233047034},
                {25, 0.0567473866593},
                {30, 0.00480367989919},
                {31, 0.00120381833195}});
  // ChainedScheduler([LinearLR(1/8, 1, total_iters=7), StepLR(step_size=12, gamma=0.2)])
  expect_rates({{"lr", "0.5"},
                {"lr_schedule", "step"},
                {"lr_decay", "0.2"},
                {"lr_step", "3"},
                {"warmup_epochs", "2"}},
               {{0, 0.0625},
                {1, 0.125},
                {2, 0.1875},
                {5, 0.375},
                {7, 0.5},
                {8, 0.5},
                {9, 0.5},
                {12, 0.1},
                {16, 0.1},
                {24, 0.02},
                {25, 0.02},
                {30, 0.02},
                {31, 0.02}});
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
