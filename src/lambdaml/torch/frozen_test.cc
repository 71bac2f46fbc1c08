// Layers that stay as they are, in both engines.
#include "lambdaml/model/frozen.h"

#include <cstring>

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/torch/fused_engine.h"
#include "lambdaml/torch/network_engine.h"
#include "lambdaml/torch/testing/steps.h"

namespace lambdaml::torch_library {
namespace {

using model::Frozen;
using steps::Problem;

using Make = std::unique_ptr<model::Engine> (*)(const model::Network&,
                                                const model::EngineSettings&);

Frozen frozen_layers(const model::Network& network, const std::string& layers) {
  return model::frozen_of(layers, network.learned(), network.statistics(), "the network");
}

/// Of a vector of all parameters, those that are not kept.
std::vector<float> visible(const model::Network& network, const Frozen& frozen,
                           const std::vector<float>& all) {
  std::vector<float> out;
  std::size_t at = 0;
  const auto add = [&](const std::vector<model::Model::Piece>& pieces,
                       const std::vector<bool>& is_frozen) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const std::size_t end = at + model::elements(pieces[i]);
      for (; at < end; ++at)
        if (!is_frozen[i]) out.push_back(all[at]);
    }
  };
  add(network.learned(), frozen.learned);
  add(network.statistics(), frozen.statistics);
  return out;
}

/// The sums of a step of all parameters, of which some are frozen.
std::vector<float> sums_of(Make make, const model::Network& network, const Problem& problem,
                           const std::string& layers) {
  const auto engine = make(network, {.threads = 2, .freeze = layers});
  std::vector<float> sums(problem.parameters.size());
  problem.train(*engine, 0, problem.targets.size(), problem.parameters, sums);
  return visible(network, frozen_layers(network, layers), sums);
}

class FrozenLayers : public ::testing::TestWithParam<model::Network (*)()> {};

INSTANTIATE_TEST_SUITE_P(, FrozenLayers, ::testing::Values(steps::separable, steps::residual));

TEST_P(FrozenLayers, LeaveTheGradientsOfTheOthers) {
  const model::Network network = GetParam()();
  const Problem problem(network, 12, 3);
  std::vector<std::string> cases = {"a,a_bn", "a*,b*", "b",        "b_bn", "b_bn.bias",
                                    "*_bn",   "out",   "*.weight", "?,out"};
  if (GetParam() == &steps::residual)
    cases.insert(cases.end(), {"a*,b*,c*", "a*,b*,c*,d*", "a*,b*,c*,d*,e*", "d*"});
  else
    cases.insert(cases.end(), {"a*,b*,c*", "b*,c*"});
  for (const std::string& layers : cases) {
    SCOPED_TRACE(layers);
    const std::vector<float> theirs = sums_of(make_network_engine, network, problem, layers);
    const std::vector<float> ours = sums_of(make_fused_engine, network, problem, layers);
    ASSERT_EQ(ours.size(), theirs.size());
    EXPECT_LT(steps::apart(ours, theirs), 5e-3);
  }
}

TEST_P(FrozenLayers, AreTheEnginesOwnAndStayBitByBit) {
  const model::Network network = GetParam()();
  const Problem problem(network, 6, 4);
  const std::string layers = "a,a_bn,b";
  const Frozen frozen = frozen_layers(network, layers);
  const auto engine = model::keep_frozen(make_fused_engine(network, {.freeze = layers}),
                                         network.learned(), network.statistics(), frozen, 7);
  const auto whole = make_fused_engine(network, {});
  std::vector<float> all(problem.parameters.size());
  whole->initialize(7, all);
  std::vector<float> own = visible(network, frozen, all);
  ASSERT_LT(own.size(), all.size());
  std::vector<float> first(own.size());
  engine->initialize(7, first);
  EXPECT_EQ(first, own);
  const auto kept = [&] {
    std::vector<std::vector<float>> out;
    for (const tensor::Tensor& tensor : engine->further_tensors(own)) {
      std::vector<float>& values = out.emplace_back(tensor.bytes.size() / sizeof(float));
      std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    }
    return out;
  };
  const auto before = kept();
  ASSERT_EQ(before.size(), 6);  // a, scale and shift, b, and the statistics of a_bn
  std::vector<float> sums(own.size());
  problem.train(*engine, 0, 6, own, sums);
  Problem same = problem;
  same.parameters = all;
  const auto one_thread = [](const model::Network& net, const model::EngineSettings& settings) {
    return make_fused_engine(net, {.freeze = settings.freeze});
  };
  EXPECT_EQ(sums, sums_of(one_thread, network, same, layers));
  EXPECT_EQ(kept(), before);
}

TEST(FrozenNames, AreParametersLayersAndWildcards) {
  const model::Network network = steps::residual();
  const auto names = [&](const std::string& layers) {
    const Frozen frozen = frozen_layers(network, layers);
    std::string out;
    for (std::size_t i = 0; i < frozen.learned.size(); ++i)
      if (frozen.learned[i]) out += network.learned()[i].name + " ";
    out += "|";
    for (std::size_t i = 0; i < frozen.statistics.size(); ++i)
      if (frozen.statistics[i]) out += " " + network.statistics()[i].name;
    return out;
  };
  EXPECT_EQ(names(""), "|");
  EXPECT_EQ(names("a.weight"), "a.weight |");
  EXPECT_EQ(names("a, a_bn"),
            "a.weight a_bn.weight a_bn.bias | a_bn.running_mean a_bn.running_var");
  EXPECT_EQ(names("a_bn.bias"), "a_bn.bias |");
  EXPECT_EQ(names("a_*"), "a_bn.weight a_bn.bias | a_bn.running_mean a_bn.running_var");
  EXPECT_EQ(names("?"), "a.weight b.weight c.weight d.weight e.weight f.weight |");
  const auto error = [&](const std::string& layers) {
    try {
      frozen_layers(network, layers);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(error("a_bm"),
            "freeze: the network has no parameter or layer 'a_bm', did you mean 'a_bn' or 'a'?");
  EXPECT_NE(error("a,"), "");
  EXPECT_NE(error("a.running_mean"), "");  // no parameter
  EXPECT_EQ(
      error("*"),
      "freeze '*': these are all parameters of the network, so that nothing is left to learn");
}

}  // namespace
}  // namespace lambdaml::torch_library
