#include "lambdaml/optim/step_rule.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/model/testing/testing.h"
#include "lambdaml/optim/descent.h"
#include "lambdaml/optim/moving_average.h"

namespace lambdaml::optim {
namespace {

constexpr std::size_t kParameters = 24;

/// A weight of 4 × 5, which is penalized, and a bias of 4.
std::unique_ptr<model::Model> two_pieces() {
  return model::testing::make_model("lr", model::testing::shape_of(5, 4));
}

Options rule_options(const std::map<std::string, std::string>& values) {
  Options options(averaging_options());
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  return options;
}

StepRule rule(model::Model& model, const std::map<std::string, std::string>& values) {
  const Options options = rule_options(values);
  return {dynamic_cast<model::GradientModel&>(model), options, options.real("l2")};
}

struct RuleCase {
  std::string name;
  std::map<std::string, std::string> options;
  std::string arguments;  ///< of pytorch_steps.py
  friend void PrintTo(const RuleCase& one, std::ostream* out) { *out << one.name; }
};

/// Steps with the gradients of pytorch_steps.py, in ranges of `size`.
struct Stepper {
  Stepper(const RuleCase& one, std::size_t range_size)
      : model(two_pieces()), steps(rule(*model, one.options)), size(range_size) {
    for (std::size_t i = 0; i < kParameters; ++i)
      parameters.push_back(static_cast<float>(0.5 * std::cos(i)));
    moments.assign(steps.moments().size(), std::vector<float>(kParameters));
    lr = std::stod(one.options.at("lr"));
  }

  void step(int t) {
    std::vector<float> gradient;
    for (std::size_t i = 0; i < kParameters; ++i)
      gradient.push_back(static_cast<float>(std::sin(0.7 * t + 1.3 * static_cast<double>(i)) *
                                            (i % 3 == 0 ? 10 : 1)));
    std::vector<double> norms(steps.norm_numbers());
    for (std::size_t at = 0; at < kParameters && !norms.empty(); at += size)
      steps.measure(at, part(gradient, at), norms);
    const StepRule::Factors factors = steps.factors(lr, t + 1, norms, parameters);
    for (std::size_t at = 0; at < kParameters; at += size) {
      std::vector<std::span<float>> of;
      for (std::vector<float>& moment : moments) of.push_back(part(moment, at));
      steps.step(factors, at, part(gradient, at), of, part(parameters, at));
    }
  }

  std::span<float> part(std::vector<float>& of, std::size_t at) const {
    return std::span(of).subspan(at, std::min(size, kParameters - at));
  }

  std::unique_ptr<model::Model> model;
  StepRule steps;
  std::size_t size;
  double lr = 0;
  std::vector<float> parameters;
  std::vector<std::vector<float>> moments;
};

class StepRules : public ::testing::TestWithParam<RuleCase> {};

INSTANTIATE_TEST_SUITE_P(
    , StepRules,
    ::testing::Values(
        RuleCase{"sgd", {{"lr", "0.05"}, {"l2", "0.01"}}, "sgd 0.05 0 0.01 0"},
        RuleCase{"momentum",
                 {{"lr", "0.05"}, {"momentum", "0.9"}, {"l2", "0.01"}},
                 "sgd 0.05 0.9 0.01 0"},
        RuleCase{"nesterov",
                 {{"optimizer", "nesterov"}, {"lr", "0.05"}, {"momentum", "0.9"}, {"l2", "0.01"}},
                 "nesterov 0.05 0.9 0.01 0"},
        RuleCase{
            "adam", {{"optimizer", "adam"}, {"lr", "0.02"}, {"l2", "0.1"}}, "adam 0.02 0 0.1 0"},
        RuleCase{
            "adamw", {{"optimizer", "adamw"}, {"lr", "0.02"}, {"l2", "0.1"}}, "adamw 0.02 0 0.1 0"},
        RuleCase{"lars",
                 {{"optimizer", "lars"},
                  {"lr", "0.5"},
                  {"momentum", "0.9"},
                  {"l2", "0.01"},
                  {"lars_trust", "0.02"}},
                 "lars 0.5 0.9 0.01 0"},
        RuleCase{"clipped_nesterov",
                 {{"optimizer", "nesterov"},
                  {"lr", "0.5"},
                  {"momentum", "0.9"},
                  {"l2", "0.01"},
                  {"clip_norm", "1.5"}},
                 "nesterov 0.5 0.9 0.01 1.5"},
        RuleCase{"clipped_adamw",
                 {{"optimizer", "adamw"}, {"lr", "0.02"}, {"l2", "0.1"}, {"clip_norm", "25"}},
                 "adamw 0.02 0 0.1 25"},
        RuleCase{"clipped_lars",
                 {{"optimizer", "lars"},
                  {"lr", "0.5"},
                  {"momentum", "0.9"},
                  {"lars_trust", "0.02"},
                  {"clip_norm", "1.5"}},
                 "lars 0.5 0.9 0 1.5"}),
    [](const auto& info) { return info.param.name; });

TEST_P(StepRules, StepAsPyTorch) {
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import torch' 2>/dev/null") == 0,
                  "no python3-torch here");
  const std::string command = "/usr/bin/python3 " LAMBDAML_SOURCE_DIR
                              "/src/lambdaml/optim/testing/pytorch_steps.py " +
                              GetParam().arguments;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  ASSERT_NE(pipe, nullptr);
  std::string text;
  for (char block[4096]; const std::size_t n = std::fread(block, 1, sizeof block, pipe.get());)
    text.append(block, n);
  std::istringstream printed(text);

  Stepper one(GetParam(), kParameters);
  MovingAverage average(rule_options({{"ema", "0.9"}}), true);
  average.begin(one.parameters);
  const auto expect_next = [&](std::span<const float> ours, int t) {
    for (std::size_t i = 0; i < kParameters; ++i) {
      double theirs = NAN;
      printed >> theirs;
      EXPECT_NEAR(ours[i], theirs, 2e-6 * std::max(1.0, std::abs(theirs))) << t << ", " << i;
    }
  };
  for (int t = 0; t < 12; ++t) {
    one.step(t);
    average.add(one.parameters);
    expect_next(one.parameters, t);
    expect_next(average.or_else({}), t);
  }
  EXPECT_TRUE(printed) << text;
}

TEST_P(StepRules, GiveTheSameBitsForEveryCut) {
  for (const std::size_t size : {1U, 3U, 7U, 21U}) {
    Stepper cut(GetParam(), size);
    Stepper whole(GetParam(), kParameters);
    for (int t = 0; t < 12; ++t) {
      cut.step(t);
      whole.step(t);
      ASSERT_EQ(cut.parameters, whole.parameters) << size << ", step " << t;
      ASSERT_EQ(cut.moments, whole.moments) << size << ", step " << t;
    }
  }
}

TEST(StepRule, OfLarsLeavesBiasesAndZerosToSgd) {
  const RuleCase lars{"lars", {{"optimizer", "lars"}, {"lr", "0.5"}, {"l2", "0.5"}}, ""};
  Stepper one(lars, kParameters);
  // Weights of 0 have no length that a step could be in proportion to.
  std::fill_n(one.parameters.begin(), 20, 0.0F);
  const std::vector<float> before = one.parameters;
  one.step(0);
  for (std::size_t i = 0; i < kParameters; ++i) {
    const auto gradient =
        static_cast<float>(std::sin(1.3 * static_cast<double>(i)) * (i % 3 == 0 ? 10 : 1));
    EXPECT_FLOAT_EQ(one.parameters[i], before[i] - 0.5F * gradient) << i;
  }
}

TEST(StepRule, NesterovNeedsMomentum) {
  const auto model = two_pieces();
  try {
    rule(*model, {{"optimizer", "nesterov"}});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("--momentum above 0"));
  }
}

}  // namespace
}  // namespace lambdaml::optim
