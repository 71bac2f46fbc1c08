#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "lambdaml/optim/testing/problems.h"
#include "lambdaml/optim/testing/testing.h"

namespace lambdaml::optim::admm {
namespace {

using namespace optim::testing;
using model::testing::make_model;
using model::testing::random_rows;
using model::testing::shape_of;

Rows one_row(float y) {
  Rows rows(1, 1);
  rows.at(0, 0) = 1;
  rows.target(0) = y;
  return rows;
}

/// Two workers with f(x) = ½ (x − 1)² and ½ (x − 3)². With lr = 1 and one row a step of the
/// x-update is the exact minimum: x = (y + ρ (z − u)) / (1 + ρ).
Job two_scalars(std::uint64_t epochs, std::map<std::string, std::string> options) {
  options.insert({{"lr", "1"}, {"epochs", "1"}});
  return {.model = [] { return std::make_unique<LeastSquares>(1); },
          .parts = {one_row(1), one_row(3)},
          .optimizer = "admm",
          .options = std::move(options),
          .epochs = epochs};
}

TEST(Admm, TwoScalarsByHand) {
  // ρ = 1. Epoch 1: x = (.5, 1.5), z = 1, u = (−.5, .5): r² = 2 · ¼, s² = 2 · 1².
  // Epoch 2: x = (1.25, 1.75), x + u = (.75, 2.25), z = 1.5: r² = 2 · 1/16, s² = 2 · ¼.
  const Trained trained = train(two_scalars(2, {{"rho", "1"}}));
  EXPECT_FLOAT_EQ(trained.parameters()[0], 1.5F);
  EXPECT_NEAR(trained.metrics[0].at("primal_residual"), std::sqrt(0.5), 1e-6);
  EXPECT_NEAR(trained.metrics[0].at("dual_residual"), std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(trained.metrics[1].at("primal_residual"), std::sqrt(0.125), 1e-6);
  EXPECT_NEAR(trained.metrics[1].at("dual_residual"), std::sqrt(0.5), 1e-6);
  EXPECT_DOUBLE_EQ(trained.totals[0].loss, 0.5 + 4.5);  // at x = 0, before the step

  // ρ = 3, λ = 3, l2 = 1: threshold 3 / (2 · 3) = ½, shrink 3/4. x = (1, 3)/4, mean ½, z = 0;
  // u = (¼, ¾): r² = (1 + 9)/16, s = 0. Next x = (1 − ¾, 3 − 9/4)/4 = (1, 3)/16, x + u = (5,
  // 15)/16, mean 5/8, z = ⅛ · ¾ = 3/32; s² = 2 · 9 · (3/32)².
  const Trained penalized = train(two_scalars(2, {{"rho", "3"}, {"lambda", "3"}, {"l2", "1"}}));
  EXPECT_NEAR(penalized.metrics[0].at("primal_residual"), std::sqrt(10.0 / 16), 1e-6);
  EXPECT_EQ(penalized.metrics[0].at("dual_residual"), 0);
  EXPECT_FLOAT_EQ(penalized.parameters()[0], 3.0F / 32);
  EXPECT_NEAR(penalized.metrics[1].at("dual_residual"), std::sqrt(18.0) * 3 / 32, 1e-6);
}

/// The first of two workers that do not wait: the other's only contribution arrives after this
/// one's last merge of models, and its residuals before this one's.
class OneIsLate final : public comm::Communicator {
 public:
  OneIsLate()
      : Communicator(
            {.store = storage::open("memory://admm-one-is-late"), .worker = 0, .workers = 2}) {}

 private:
  std::size_t merge_round(std::uint64_t, comm::Vectors, comm::Meaning) override { return 1; }
  std::size_t finish_rounds(comm::Vectors v, comm::Meaning meaning) override {
    EXPECT_EQ(meaning, comm::Meaning::state);
    v.values[0] += 1.5F;
    return 2;
  }
};

TEST(Admm, EndsWithTheLastContributionsOfAll) {
  OneIsLate communicator;
  LeastSquares model(1);
  const Plugin& plugin = registry().get("admm");
  const auto admm = plugin.make({.model = model,
                                 .communicator = communicator,
                                 .rows_per_round = {2},
                                 .rows = 2,
                                 .own_rows = 1,
                                 .epochs = 1},
                                options_of(plugin, {{"lr", "1"}, {"epochs", "1"}, {"rho", "1"}}));
  admm->begin(std::vector<float>{0});
  admm->step(one_row(1).dense(), {.last_of_pass = true, .last_of_epoch = true});
  EXPECT_FLOAT_EQ(admm->parameters()[0], 0.5F);  // as in TwoScalarsByHand, of its own alone
  admm->finish();
  EXPECT_FLOAT_EQ(admm->parameters()[0], 1.0F);
}

TEST(Admm, StopsByItsResiduals) {
  // z − 2 halves each epoch: r_k = √2 / 2^k, s_k = √8 / 2^k. With ε_abs = 0.01, ε_rel = 0 both must
  // be ≤ √2 · 0.01: first 2 / 2^k ≤ 0.01, k = 8.
  Job job =
      two_scalars(50, {{"rho", "1"}, {"admm_tolerance_abs", "0.01"}, {"admm_tolerance_rel", "0"}});
  job.until_converged = true;
  EXPECT_EQ(train(job).epochs, 8);
  // ε_rel: r ≤ ε √2 z and s ≤ ε √(u₁² + u₂²) → √2 as u → ±1. ε = 0.01: again k = 8.
  job.options["admm_tolerance_abs"] = "0";
  job.options["admm_tolerance_rel"] = "0.01";
  EXPECT_EQ(train(job).epochs, 8);
}

TEST(Admm, ReachesTheRidgeOptimumFromUnequalParts) {
  const Rows rows = random_rows(120, 4, 5, 3);
  const std::vector<double> optimum = ridge_optimum(rows, 0.2);
  for (const std::string momentum : {"0", "0.6"}) {
    const Trained trained =
        train({.model = [] { return std::make_unique<LeastSquares>(4); },
               .parts = {rows.part(0, 2), Rows(0, 4), rows.part(1, 4), rows.part(3, 4)},
               .optimizer = "admm",
               .options = {{"lr", "0.2"},
                           {"epochs", "30"},
                           {"l2", "0.2"},
                           {"rho", "0.7"},
                           {"momentum", momentum}},
               .epochs = 120});
    for (std::size_t j = 0; j < 4; ++j)
      EXPECT_NEAR(trained.parameters()[j], optimum[j], 1e-5) << momentum;
  }
}

TEST(Admm, ReachesTheRidgeOptimumByLbfgsWithABalancedRho) {
  const Rows rows = random_rows(120, 4, 5, 3);
  const std::vector<double> optimum = ridge_optimum(rows, 0.2);
  Job job{.model = [] { return std::make_unique<LeastSquares>(4); },
          .parts = {rows.part(0, 2), Rows(0, 4), rows.part(1, 4), rows.part(3, 4)},
          .optimizer = "admm",
          .options = {{"admm_solver", "lbfgs"},
                      {"epochs", "20"},
                      {"l2", "0.2"},
                      {"rho", "auto"},
                      {"admm_tolerance_abs", "0"}},
          .epochs = 60,
          .until_converged = true};
  const Trained trained = train(job);
  EXPECT_LT(trained.epochs, 60);
  for (std::size_t j = 0; j < 4; ++j)
    EXPECT_NEAR(trained.parameters()[j], optimum[j], 2e-3 * std::abs(optimum[j]) + 2e-3);
  // The loss of an epoch is that of the common model before it.
  EXPECT_DOUBLE_EQ(trained.totals[0].loss,
                   LeastSquares(4).evaluate(rows.dense(), std::vector<float>(4)).loss);
}

TEST(Admm, DoesNotLeanToTheLastBatches) {
  // Sorted targets make the batches of a pass disagree as much as they can.
  Rows rows(80, 1);
  for (std::size_t i = 0; i < 80; ++i) {
    rows.at(i, 0) = 1;
    rows.target(i) = static_cast<float>(i) / 40;
  }
  const Trained trained = train({.model = [] { return std::make_unique<LeastSquares>(1); },
                                 .parts = cut(rows, 2),
                                 .optimizer = "admm",
                                 .options = {{"lr", "0.3"}, {"epochs", "10"}, {"rho", "0.1"}},
                                 .epochs = 100,
                                 .batch = 4});
  // The mean target is 79/80. The last iterate of a pass is near 2.
  EXPECT_NEAR(trained.parameters()[0], 79.0 / 80, 1e-5);
}

TEST(Admm, ReachesTheLassoOptimum) {
  // On an orthogonal design argmin mean loss + t ‖w‖₁ is the soft threshold of Xᵀy/N by t, and
  // t = λ / P.
  const std::vector<float> truth = {2, -1, 0.2F, -0.1F};
  const Rows rows = orthogonal_rows(6, truth);
  for (const std::size_t workers : {1U, 3U}) {
    const double t = 0.3;
    const Trained trained =
        train({.model = [] { return std::make_unique<LeastSquares>(4); },
               .parts = cut(rows, workers),
               .optimizer = "admm",
               .options = {{"lr", "0.2"},
                           {"epochs", "30"},
                           {"lambda", std::to_string(t * static_cast<double>(workers))},
                           {"rho", "1"}},
               .epochs = 60});
    const double expected[] = {1.7, -0.7, 0, 0};
    for (std::size_t j = 0; j < 4; ++j)
      EXPECT_NEAR(trained.parameters()[j], expected[j], 1e-5) << workers;
    EXPECT_EQ(trained.parameters()[2], 0.0F);  // exactly
  }
}

TEST(Admm, ALargeRhoIsNoTroubleForTheDescent) {
  const Rows rows = random_rows(60, 3, 4, 5);
  const Trained trained = train({.model = [] { return std::make_unique<LeastSquares>(3); },
                                 .parts = cut(rows, 2),
                                 .optimizer = "admm",
                                 .options = {{"lr", "0.2"}, {"epochs", "5"}, {"rho", "100"}},
                                 .epochs = 10});
  EXPECT_LT(trained.totals.back().loss, trained.totals.front().loss);
}

TEST(Admm, DoesNotPenalizeBiases) {
  // λ so large that no weight survives: the bias alone is left, whose optimum is the log-odds.
  Rows rows(60, 2);
  for (std::size_t i = 0; i < 60; ++i) {
    rows.at(i, 0) = i % 2 == 0 ? 1.0F : -1.0F;
    rows.at(i, 1) = i % 3 == 0 ? 1.0F : -1.0F;
    rows.target(i) = i < 45 ? 1.0F : 0.0F;
  }
  const Trained trained = train({.model = [] { return make_model("lr", shape_of(2, 2)); },
                                 .parts = cut(rows, 2),
                                 .optimizer = "admm",
                                 .options = {{"lr", "0.5"}, {"epochs", "30"}, {"lambda", "10"}},
                                 .epochs = 60});
  EXPECT_EQ(trained.parameters()[0], 0.0F);
  EXPECT_EQ(trained.parameters()[1], 0.0F);
  EXPECT_NEAR(trained.parameters()[2], std::log(45.0 / 15), 1e-4);
}

}  // namespace
}  // namespace lambdaml::optim::admm
