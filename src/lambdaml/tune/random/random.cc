#include "lambdaml/tune/registry.h"

namespace lambdaml::tune::random {
namespace {

constexpr std::uint64_t kTrials = 16;

/// Random search (Bergstra, Bengio 2012): every trial is drawn independently and runs to its end.
class RandomSearch : public WholeTrials {
 public:
  using WholeTrials::WholeTrials;

  std::uint64_t trials() const override { return inputs().trials > 0 ? inputs().trials : kTrials; }
  Assignments parameters(std::uint64_t trial) const override {
    return inputs().space.draw(inputs().seed, trial);
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "random",
                .help = "trials drawn at random, by default 16",
                .make = [](const StrategyInputs& inputs) {
                  return std::make_unique<RandomSearch>(inputs);
                }});
}

}  // namespace lambdaml::tune::random
