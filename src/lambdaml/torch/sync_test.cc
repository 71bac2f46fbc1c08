// Batch normalization over the batches of several workers: that of one with all rows.
#include <gtest/gtest.h>

#include "lambdaml/model/testing/testing.h"
#include "lambdaml/torch/fused_engine.h"
#include "lambdaml/torch/testing/steps.h"

namespace lambdaml::torch_library {
namespace {

using steps::Problem;

struct Sums {
  std::vector<float> sums;
  model::Totals totals;
};

/// The rows of all are cut at these places.
Sums of_workers(const model::Network& network, const model::EngineSettings& settings,
                const Problem& problem, const std::vector<std::size_t>& cuts, bool synchronized) {
  const auto workers = static_cast<std::uint32_t>(cuts.size() - 1);
  std::vector<Sums> parts(workers);
  model::testing::run_workers(workers, [&](comm::Communicator& communicator) {
    const model::MergeNumbers merge = [&](std::span<double> numbers) {
      communicator.merge({{}, numbers}, comm::Meaning::state);
    };
    const std::uint32_t w = communicator.worker();
    const auto engine = make_fused_engine(network, settings);
    parts[w].sums.resize(problem.parameters.size());
    if (cuts[w] == cuts[w + 1] && !synchronized) return;
    parts[w].totals = problem.train(*engine, cuts[w], cuts[w + 1] - cuts[w], problem.parameters,
                                    parts[w].sums, synchronized ? &merge : nullptr);
  });
  Sums all = parts[0];
  for (std::uint32_t w = 1; w < workers; ++w) {
    for (std::size_t i = 0; i < all.sums.size(); ++i) all.sums[i] += parts[w].sums[i];
    all.totals += parts[w].totals;
  }
  return all;
}

class Synchronized : public ::testing::TestWithParam<model::Network (*)()> {};

INSTANTIATE_TEST_SUITE_P(, Synchronized, ::testing::Values(steps::separable, steps::residual));

TEST_P(Synchronized, WorkersAreOneWithAllRows) {
  const model::Network network = GetParam()();
  const Problem problem(network, 16, 3);
  for (const bool bf16 : {false, true}) {
    const model::EngineSettings settings{.threads = 2, .bf16 = bf16};
    const Sums one = of_workers(network, settings, problem, {0, 16}, false);
    // Equal parts, unequal ones, and a worker without rows, which comes first or last.
    for (const std::vector<std::size_t>& cuts : std::vector<std::vector<std::size_t>>{
             {0, 4, 8, 12, 16}, {0, 1, 16}, {0, 0, 9, 16}, {0, 11, 16, 16}}) {
      SCOPED_TRACE(::testing::PrintToString(cuts));
      const Sums several = of_workers(network, settings, problem, cuts, true);
      EXPECT_LT(steps::apart(several.sums, one.sums), bf16 ? 0.03 : 1e-4);
      EXPECT_NEAR(several.totals.loss, one.totals.loss, (bf16 ? 1e-2 : 1e-5) * one.totals.loss);
      EXPECT_EQ(several.totals.rows, 16);
    }
    const Sums apart = of_workers(network, settings, problem, {0, 4, 8, 12, 16}, false);
    EXPECT_GT(steps::apart(apart.sums, one.sums), 0.05);  // or nothing was merged
  }
}

TEST_P(Synchronized, FrozenLayersMergeNothing) {
  const model::Network network = GetParam()();
  const Problem problem(network, 8, 5);
  std::size_t layers = 0;
  for (const model::Layer& layer : network.layers())
    layers += layer.kind == model::Layer::Kind::batch_norm ? 1 : 0;
  const auto merges = [&](const std::string& freeze) {
    std::size_t count = 0;
    const model::MergeNumbers merge = [&](std::span<double>) { ++count; };
    std::vector<float> sums(problem.parameters.size());
    problem.train(*make_fused_engine(network, {.threads = 1, .freeze = freeze}), 0, 8,
                  problem.parameters, sums, &merge);
    return count;
  };
  // Two normalizations that are added up share a merge in the backward pass.
  const std::size_t joined = GetParam() == &steps::residual ? 1 : 0;
  EXPECT_EQ(merges(""), 2 * layers - joined);
  EXPECT_EQ(merges("a_bn"), 2 * (layers - 1) - joined);
  EXPECT_EQ(merges("*_bn"), 0);
}

}  // namespace
}  // namespace lambdaml::torch_library
