#include "lambdaml/model/regression.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lambdaml::model {
namespace {

/// The metrics of predictions of the targets.
std::map<std::string, double> measured(const std::vector<float>& predicted,
                                       const std::vector<float>& targets) {
  Totals totals{.rows = static_cast<double>(targets.size())};
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double target = targets[i], error = predicted[i] - target;
    totals.loss += error * error / 2;
    totals.absolute_error += std::abs(error);
    totals.targets += target;
    totals.squared_targets += target * target;
  }
  std::map<std::string, double> out;
  for (const Metric& metric : regression_metrics()) out[metric.name] = metric.of(totals).value();
  return out;
}

TEST(Regression, MeasuresAreThoseOfScikitLearn) {
  // The example of scikit-learn's documentation of mean_absolute_error and r2_score.
  const auto values = measured({2.5F, 0, 2, 8}, {3, -0.5F, 2, 7});
  EXPECT_DOUBLE_EQ(values.at("mae"), 0.5);
  EXPECT_DOUBLE_EQ(values.at("rmse"), std::sqrt(0.375));
  EXPECT_NEAR(values.at("r2"), 0.9486081370449679, 1e-12);
}

TEST(Regression, TargetsThatAreAllTheSame) {
  EXPECT_EQ(measured({3, 3}, {3, 3}).at("r2"), 1);
  EXPECT_EQ(measured({3, 4}, {3, 3}).at("r2"), 0);
  EXPECT_EQ(measured({1, 2}, {1, 2}).at("r2"), 1);
}

}  // namespace
}  // namespace lambdaml::model
