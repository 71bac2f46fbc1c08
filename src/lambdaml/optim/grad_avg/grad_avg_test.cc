#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/optim/testing/problems.h"
#include "lambdaml/optim/testing/testing.h"

namespace lambdaml::optim::grad_avg {
namespace {

using namespace optim::testing;
using model::testing::make_model;
using model::testing::random_rows;
using model::testing::shape_of;

TEST(GradAvg, StepsByHand) {
  // One row x = 1, y = 1, one worker: loss ½ (w − 1)², g = w − 1 + l2 · w.
  Rows rows(1, 1);
  rows.at(0, 0) = 1;
  rows.target(0) = 1;
  const auto after = [&](std::uint64_t epochs, const std::string& momentum, const std::string& l2) {
    return train({.model = [] { return std::make_unique<LeastSquares>(1); },
                  .parts = {rows},
                  .optimizer = "grad_avg",
                  .options = {{"lr", "0.5"}, {"momentum", momentum}, {"l2", l2}},
                  .epochs = epochs})
        .parameters()[0];
  };
  EXPECT_FLOAT_EQ(after(1, "0", "0"), 0.5F);
  EXPECT_FLOAT_EQ(after(2, "0", "0"), 0.75F);
  // v₁ = −1, w₁ = .5; v₂ = .5 · −1 − .5 = −1, w₂ = 1; v₃ = −.5 + 0, w₃ = 1.25.
  EXPECT_FLOAT_EQ(after(2, "0.5", "0"), 1.0F);
  EXPECT_FLOAT_EQ(after(3, "0.5", "0"), 1.25F);
  // g₂ = −.5 + .2 · .5 = −.4, w₂ = .7.
  EXPECT_FLOAT_EQ(after(2, "0", "0.2"), 0.7F);
}

TEST(GradAvg, WorkersWithSmallBatchesDoWhatOneDoesWithALargeOne) {
  for (const std::string name : {"lr", "svm"}) {
    const Rows rows = random_rows(1400, 28, 2, 9);
    Job job{.model = [&] { return make_model(name, shape_of(28, 2)); },
            .parts = {rows},
            .optimizer = "grad_avg",
            .options = {{"momentum", "0.9"}, {"l2", "0.01"}, {"lr_schedule", "inverse"}},
            .epochs = 5};
    for (const std::size_t workers : {2U, 4U, 7U}) {
      job.parts = {rows};
      job.batch = 20 * workers;
      const std::vector<float> one = train(job).parameters();
      job.parts = cut(rows, workers);
      job.batch = 20;
      const std::vector<float> many = train(job).parameters();
      for (std::size_t i = 0; i < one.size(); ++i)
        EXPECT_NEAR(many[i], one[i], 1e-5 * std::max(1.0F, std::abs(one[i]))) << name << workers;
    }
  }
}

TEST(GradAvg, ReachesTheRidgeOptimum) {
  const Rows rows = random_rows(150, 5, 4, 12);
  const std::vector<double> optimum = ridge_optimum(rows, 0.3);
  const Trained trained = train({.model = [] { return std::make_unique<LeastSquares>(5); },
                                 .parts = cut(rows, 3),
                                 .optimizer = "grad_avg",
                                 .options = {{"lr", "0.4"}, {"l2", "0.3"}},
                                 .epochs = 100});
  for (std::size_t j = 0; j < 5; ++j) EXPECT_NEAR(trained.parameters()[j], optimum[j], 1e-6);
}

/// 40 rows of three features on a grid, with labels by a noisy rule; the same numbers were given to
/// scikit-learn 1.2.1.
Rows grid_rows(bool three_classes) {
  Rows rows(40, 3);
  for (std::size_t i = 0; i < 40; ++i) {
    double x[3];
    for (std::size_t j = 0; j < 3; ++j) {
      x[j] = static_cast<double>((i * 7 + j * 13 + i * j * 3) % 11) / 5.0 - 1;
      rows.at(i, j) = static_cast<float>(x[j]);
    }
    const double noise = (static_cast<double>(i * 5 % 7) - 3) / 4.0;
    rows.target(i) =
        three_classes ? static_cast<float>((i * i + (x[0] > 0 ? 2 : 0) + (x[2] > 0.3 ? 1 : 0)) % 3)
        : x[0] - 0.5 * x[1] + 0.3 + noise > 0 ? 1.0F
                                              : 0.0F;
  }
  return rows;
}

TEST(GradAvg, LogisticRegressionReachesScikitLearnsOptimum) {
  // LogisticRegression(C=1/(0.05·40), tol=1e-12): C Σ loss + ½‖w‖² is 40 C times our objective.
  Job job{.model = [] { return make_model("lr", shape_of(3, 2)); },
          .parts = cut(grid_rows(false), 4),
          .optimizer = "grad_avg",
          .options = {{"lr", "2"}, {"l2", "0.05"}},
          .epochs = 400};
  const Trained binary = train(job);
  const double expected[] = {1.55011868, -0.11134745, -0.16790572, 0.73654538};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(binary.parameters()[i], expected[i], 2e-5);
  EXPECT_NEAR(binary.totals.back().loss / 40, 0.43466970998, 1e-5);

  // The same with multi_class="multinomial". Only differences of biases matter to softmax.
  job.model = [] { return make_model("lr", shape_of(3, 3)); };
  job.parts = cut(grid_rows(true), 3);
  const Trained many = train(job);
  const double weights[] = {0.50960, -0.00933, -0.49526, -0.58928, 0.31492,
                            0.15257, 0.07968,  -0.30558, 0.34269};
  for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(many.parameters()[i], weights[i], 2e-5);
  EXPECT_NEAR(many.parameters()[9] - many.parameters()[11], 0.18436 + 0.08277, 4e-5);
  EXPECT_NEAR(many.totals.back().loss / 40, 0.96744191, 1e-5);
}

TEST(GradAvg, SupportVectorMachineReachesTheOptimum) {
  // Mean hinge loss + 0.05/2 ‖w‖² over the same rows as a quadratic program with slack variables
  // (scipy 1.10 SLSQP, ftol 1e-14): objective 0.476354454, w = (1.51515, 0, −0.30303), b = 0.45455.
  const Rows rows = grid_rows(false);
  const Trained trained = train(
      {.model = [] { return make_model("svm", shape_of(3, 2)); },
       .parts = cut(rows, 2),
       .optimizer = "grad_avg",
       .options = {{"lr", "2"}, {"l2", "0.05"}, {"lr_schedule", "inverse"}, {"lr_decay", "0.2"}},
       .epochs = 4000});
  const std::vector<float>& w = trained.parameters();
  const double loss = make_model("svm", shape_of(3, 2))->evaluate(rows.dense(), w).loss / 40 +
                      0.025 * (w[0] * w[0] + w[1] * w[1] + w[2] * w[2]);
  EXPECT_NEAR(loss, 0.476354454, 5e-4);
  EXPECT_NEAR(w[0], 1.51515, 0.02);
  EXPECT_NEAR(w[1], 0, 0.02);
  EXPECT_NEAR(w[2], -0.30303, 0.02);
}

}  // namespace
}  // namespace lambdaml::optim::grad_avg
