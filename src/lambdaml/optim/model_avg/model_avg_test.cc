#include <cmath>
#include <map>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "lambdaml/optim/testing/problems.h"
#include "lambdaml/optim/testing/testing.h"

namespace lambdaml::optim::model_avg {
namespace {

using namespace optim::testing;
using model::testing::random_rows;

/// Two workers, with the rows x = 1, y = 1 and x = 1, y = 4, 4, 4, in batches of one row.
Job one_and_three_rows(std::map<std::string, std::string> options) {
  Rows one(1, 1);
  Rows three(3, 1);
  one.at(0, 0) = 1;
  one.target(0) = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    three.at(i, 0) = 1;
    three.target(i) = 4;
  }
  return {.model = [] { return std::make_unique<LeastSquares>(1); },
          .parts = {one, three},
          .optimizer = "model_avg",
          .options = std::move(options),
          .epochs = 1,
          .batch = 1};
}

TEST(ModelAvg, AveragesByHandWeightedByRows) {
  // With lr ½, worker 0 goes 0 → ½; worker 1 goes 0 → 2 → 3 → 3½. (1 · ½ + 3 · 3½) / 4 = 2.75.
  // Next: 2.75 → 1.875 and 2.75 → 3.375 → 3.6875 → 3.84375; average (1.875 + 3 · 3.84375) / 4 =
  // 3.3515625.
  Job job = one_and_three_rows({{"lr", "0.5"}});
  EXPECT_FLOAT_EQ(train(job).parameters()[0], 2.75F);
  job.epochs = 2;
  const Trained trained = train(job);
  EXPECT_FLOAT_EQ(trained.parameters()[0], 3.3515625F);
  // Losses at each worker's own model, before its step: ½ · 1 + ½ (16 + 4 + 1).
  EXPECT_DOUBLE_EQ(trained.totals[0].loss, 11.0);
}

TEST(ModelAvg, WithOneBatchPerEpochIsGradientAveraging) {
  const Rows rows = random_rows(100, 4, 3, 4);
  Job job{.model = [] { return std::make_unique<LeastSquares>(4); },
          .parts = {rows.part(0, 2), rows.part(1, 4), rows.part(3, 4)},
          .optimizer = "model_avg",
          .options = {{"l2", "0.1"}, {"momentum", "0"}},
          .epochs = 20};
  const std::vector<float> models = train(job).parameters();
  job.optimizer = "grad_avg";
  const std::vector<float> gradients = train(job).parameters();
  for (std::size_t j = 0; j < 4; ++j) EXPECT_NEAR(models[j], gradients[j], 1e-6);
}

TEST(ModelAvg, AveragesMomentsByHand) {
  // With lr ½ and momentum ½. Worker 0: v = −1, w = ½. Worker 1: v = −4, w = 2; v = −2 − 2, w = 4;
  // v = −2, w = 5. Averages: w = 3.875, v = −1.75. Next, worker 0: v = −0.875 + 2.875, w = 2.875.
  // Worker 1: v = −0.875 − 0.125, w = 4.375; v = −0.5 + 0.375, w = 4.4375; v = −0.0625 + 0.4375,
  // w = 4.25. Average: 3.90625.
  Job job = one_and_three_rows({{"lr", "0.5"}, {"momentum", "0.5"}, {"moments", "merged"}});
  EXPECT_FLOAT_EQ(train(job).parameters()[0], 3.875F);
  job.epochs = 2;
  EXPECT_FLOAT_EQ(train(job).parameters()[0], 3.90625F);
  // Own velocities: worker 0 goes on with −1 to 2.6875, worker 1 with −2 to 4.28125.
  job.options["moments"] = "own";
  EXPECT_FLOAT_EQ(train(job).parameters()[0], 3.8828125F);
}

TEST(ModelAvg, OfEqualPartsReachesTheRidgeOptimum) {
  const Rows rows = random_rows(64, 3, 4, 12);
  const std::vector<double> optimum = ridge_optimum(rows, 0.2);
  const Trained trained = train({.model = [] { return std::make_unique<LeastSquares>(3); },
                                 .parts = {rows, rows, rows},
                                 .optimizer = "model_avg",
                                 .options = {{"lr", "0.3"}, {"l2", "0.2"}},
                                 .epochs = 150});
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(trained.parameters()[j], optimum[j], 1e-6);
}

}  // namespace
}  // namespace lambdaml::optim::model_avg
