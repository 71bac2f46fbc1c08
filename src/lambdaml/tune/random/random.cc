#include "lambdaml/tune/draws.h"
#include "lambdaml/tune/registry.h"

namespace lambdaml::tune::random {
namespace {

constexpr std::uint64_t kTrials = 16;

/// Random search (Bergstra, Bengio 2012): every trial is drawn independently and runs to its end.
class RandomSearch : public WholeTrials {
 public:
  explicit RandomSearch(const StrategyInputs& inputs)
      : WholeTrials(inputs), draws_(inputs, inputs.trials > 0 ? inputs.trials : kTrials) {}

  std::uint64_t trials() const override { return draws_.size(); }
  Assignments parameters(std::uint64_t trial) const override { return draws_.at(trial); }

 private:
  const Draws draws_;
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
