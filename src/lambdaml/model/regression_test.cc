#include "lambdaml/model/regression.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lambdaml::model {
namespace {

/// By measures, of predictions of the targets.
std::map<std::string, double> measured(const std::vector<float>& predicted,
                                       const std::vector<float>& targets) {
  Model::Prediction prediction;
  prediction.scores = predicted;
  std::map<std::string, double> out;
  for (const Measure& measure : regression_measures())
    out[measure.name] = measure.of({prediction, targets, 0}).value();
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

TEST(Regression, MetricsAreThoseOfTotals) {
  // Errors −0.5, 0.5, 0, 1 of the targets above.
  const Totals totals{.loss = 0.75,
                      .rows = 4,
                      .absolute_error = 2,
                      .targets = 11.5,
                      .squared_targets = 9 + 0.25 + 4 + 49};
  for (const Metric& metric : regression_metrics())
    if (metric.name != "loss")
      EXPECT_NEAR(metric.of(totals), measured({2.5F, 0, 2, 8}, {3, -0.5F, 2, 7}).at(metric.name),
                  1e-12)
          << metric.name;
}

}  // namespace
}  // namespace lambdaml::model
