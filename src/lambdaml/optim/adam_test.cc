#include "lambdaml/optim/adam.h"

#include <cmath>

#include <gtest/gtest.h>

namespace lambdaml::optim {
namespace {

TEST(Adam, StepsByTheSignAsLongAsTheGradientStays) {
  const Options options(adam_options());
  Adam adam(options, 2);
  std::vector<float> w{1, 1};
  for (int step = 1; step <= 5; ++step) {
    adam.step(std::vector<float>{0.5F, -200}, 0.01, w);
    EXPECT_NEAR(w[0], 1 - 0.01 * step, 1e-6);
    EXPECT_NEAR(w[1], 1 + 0.01 * step, 1e-6);
  }
  EXPECT_EQ(adam.steps(), 5);
}

TEST(Adam, IsTheDefinitionInDouble) {
  Options options(adam_options());
  options.parse("adam_beta1", "0.8", "test");
  options.parse("adam_beta2", "0.95", "test");
  options.parse("adam_epsilon", "0.1", "test");
  Adam adam(options, 1);
  std::vector<float> w{0.5F};
  double expected = 0.5, m = 0, v = 0;
  int step = 0;
  for (const double gradient : {1.0, -2.0, 0.5, 3.0, 0.0, -1.0}) {
    ++step;
    m = 0.8 * m + 0.2 * gradient;
    v = 0.95 * v + 0.05 * gradient * gradient;
    expected -=
        0.1 * (m / (1 - std::pow(0.8, step))) / (std::sqrt(v / (1 - std::pow(0.95, step))) + 0.1);
    adam.step(std::vector<float>{static_cast<float>(gradient)}, 0.1, w);
    EXPECT_NEAR(w[0], expected, 1e-6) << step;
  }
}

}  // namespace
}  // namespace lambdaml::optim
