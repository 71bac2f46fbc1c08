#include <cmath>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/history.h"
#include "lambdaml/optim/testing/problems.h"
#include "lambdaml/optim/testing/testing.h"

namespace lambdaml::optim::lbfgs {
namespace {

using namespace optim::testing;
using model::testing::make_model;
using model::testing::random_rows;
using model::testing::shape_of;
using ::testing::Each;
using ::testing::Lt;
using ::testing::StartsWith;

Job least_squares(const Rows& rows, std::size_t workers,
                  std::map<std::string, std::string> options = {}) {
  return {.model = [d = rows.cols()] { return std::make_unique<LeastSquares>(d); },
          .parts = cut(rows, workers),
          .optimizer = "lbfgs",
          .options = std::move(options),
          .epochs = 100,
          .batch = 16,
          .until_converged = true};
}

TEST(History, MultipliesByTheInverseHessianOfAQuadratic) {
  // With as many conjugate steps as dimensions, H is exactly the inverse.
  History history(4, 3);
  history.begin();
  std::vector<double> v{1, 2, 3};
  history.multiply(v);
  EXPECT_EQ(v, (std::vector<double>{1, 2, 3})) << "the identity";
  const float hessian[] = {2, 4, 8};
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<float> step(3), change(3);
    step[i] = 1;
    change[i] = hessian[i];
    history.add(step, change);
  }
  history.multiply(v);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(v[i], (i + 1.0) / hessian[i], 1e-12);
}

TEST(History, LeavesOutStepsWithoutPositiveCurvature) {
  History history(2, 2);
  history.begin();
  history.add(std::vector<float>{1, 0}, std::vector<float>{-1, 0});
  history.add(std::vector<float>{1, 0}, std::vector<float>{0, 1});
  history.add(std::vector<float>{0, 0}, std::vector<float>{0, 0});
  EXPECT_TRUE(history.empty());
}

TEST(History, LeavesOutDoublesOfWhichRoundingLeavesNoCurvature) {
  using Doubles = std::vector<double>;
  const std::pair<Doubles, Doubles> pairs[] = {
      {{1, 1}, {1 + std::ldexp(1, -30), -1}},  // digits that floats do not have
      {{1e-60, 0}, {1e-60, 0}}};
  for (const auto& [step, change] : pairs) {
    History history(1, 2);
    history.begin();
    history.add(Doubles{1, 0}, Doubles{2, 0});
    history.add(step, change);
    Doubles v{1, 2};
    history.multiply(v);
    EXPECT_EQ(v, (Doubles{0.5, 1})) << change[0];
  }
}

TEST(History, MultipliesByStepsWhoseSquaresNoFloatHolds) {
  for (const double small : {1e-25, 1e-37}) {
    History history(1, 2);
    history.begin();
    history.add(std::vector<double>{small, 0}, std::vector<double>{2 * small, 0});
    std::vector<double> v{1, 2};
    history.multiply(v);
    EXPECT_NEAR(v[0], 0.5, 1e-6) << small;
    EXPECT_NEAR(v[1], 1, 1e-6) << small;
  }
}

TEST(Lbfgs, FindsTheOptimumOfRidgeForAnyNumberOfWorkers) {
  Rows rows = random_rows(300, 8, 3, 5);
  // Columns of very different scale.
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t j = 0; j < 8; ++j) rows.at(i, j) *= std::pow(2.0F, static_cast<float>(j) - 4);
  for (const char* l2 : {"0", "0.01", "1"}) {
    const std::vector<double> optimum = ridge_optimum(rows, std::stod(l2));
    for (const std::size_t workers : {1U, 2U, 7U}) {
      const Trained trained = train(least_squares(rows, workers, {{"l2", l2}}));
      EXPECT_LT(trained.epochs, 60);
      const auto loss = [&](const auto& w) {
        LeastSquares model(8);
        const std::vector<float> floats(w.begin(), w.end());
        double norm = 0;
        for (const double value : w) norm += value * value;
        return model.evaluate(rows.dense(), floats).loss / 300 + std::stod(l2) / 2 * norm;
      };
      EXPECT_LT(loss(trained.parameters()), loss(optimum) * (1 + 1e-5)) << l2 << ", " << workers;
    }
  }
}

TEST(Lbfgs, InDoubleFindsTheOptimumWhereColumnsNearlyDependOnEachOther) {
  Rows rows = random_rows(300, 6, 3, 5);
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t j = 3; j < 6; ++j) rows.at(i, j) = rows.at(i, j - 3) + rows.at(i, j) / 256;
  const std::vector<double> optimum = ridge_optimum(rows, 1e-5);
  for (const std::size_t workers : {1U, 2U, 7U}) {
    Job job = least_squares(rows, workers,
                            {{"l2", "1e-5"},
                             {"lbfgs_precision", "float64"},
                             {"lbfgs_tolerance_gradient", "1e-11"},
                             {"lbfgs_tolerance_loss", "0"}});
    job.model = [] { return make_model("linear", shape_of(6, 3), {{"intercept", "false"}}); };
    const Trained trained = train(job);
    for (std::size_t j = 0; j < 6; ++j)
      EXPECT_NEAR(trained.parameters()[j], optimum[j], 1e-6 * (1 + std::abs(optimum[j])));
    for (const auto& model : trained.models) EXPECT_EQ(model, trained.parameters());
  }
}

TEST(Lbfgs, InDoubleNeedsAModelThatHasSuchSums) {
  try {
    train(least_squares(random_rows(20, 2, 3, 1), 1, {{"lbfgs_precision", "float64"}}));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), StartsWith("lbfgs_precision: "));
  }
}

TEST(Lbfgs, FindsTheLassoExactlySparse) {
  // With XᵀX/N = I the lasso is the soft threshold of the least squares (Tibshirani 1996, §2.2).
  const std::vector<float> truth{2, -0.5, 0.2, -0.05};
  const Rows rows = orthogonal_rows(10, truth);
  for (const std::size_t workers : {1U, 3U}) {
    const Trained trained = train(least_squares(rows, workers, {{"lambda", "0.3"}}));
    const std::vector<float>& w = trained.parameters();
    EXPECT_NEAR(w[0], 1.7, 1e-4);
    EXPECT_NEAR(w[1], -0.2, 1e-4);
    EXPECT_EQ(w[2], 0);
    EXPECT_EQ(w[3], 0);
    EXPECT_LT(trained.epochs, 20);
  }
}

TEST(Lbfgs, TheObjectiveNeverRises) {
  for (const char* lambda : {"0", "0.01"}) {
    Job job = least_squares(random_rows(300, 8, 3, 6), 2, {{"lambda", lambda}, {"l2", "0.001"}});
    job.model = [] { return make_model("lr", shape_of(8, 3)); };
    const Trained trained = train(job);
    ASSERT_GT(trained.epochs, 5U);
    for (std::size_t e = 1; e < trained.epochs; ++e)
      EXPECT_LE(trained.metrics[e].at("objective"),
                trained.metrics[e - 1].at("objective") * (1 + 2e-7));
  }
}

TEST(Lbfgs, TheFinalLossDoesNotDependOnTheNumberOfWorkers) {
  const Rows rows = random_rows(500, 12, 4, 7);
  std::vector<double> losses;
  for (const std::size_t workers : {1U, 2U, 4U, 7U}) {
    Job job = least_squares(rows, workers, {{"l2", "0.002"}});
    job.model = [] { return make_model("lr", shape_of(12, 4)); };
    job.options["lbfgs_tolerance_loss"] = "1e-9";
    losses.push_back(train(job).metrics.back().at("objective"));
  }
  for (const double loss : losses) EXPECT_NEAR(loss, losses[0], 1e-6 * losses[0]);
}

TEST(Lbfgs, AGradientOfZeroEndsAtOnce) {
  Rows rows(8, 2);
  const Trained trained = train(least_squares(rows, 2));
  EXPECT_EQ(trained.epochs, 1U);
  EXPECT_THAT(trained.parameters(), Each(0.0F));
}

}  // namespace
}  // namespace lambdaml::optim::lbfgs
