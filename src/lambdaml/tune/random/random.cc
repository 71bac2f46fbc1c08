#include "lambdaml/tune/registry.h"

namespace lambdaml::tune::random {
namespace {

constexpr std::uint64_t kTrials = 16;

/// Random search (Bergstra, Bengio 2012): every trial is drawn independently and runs to its end.
class RandomSearch : public WholeTrials {
 public:
  using WholeTrials::WholeTrials;

  std::uint64_t trials() const override { return plan().trials > 0 ? plan().trials : kTrials; }
  Assignments parameters(std::uint64_t trial) const override {
    return plan().space.draw(plan().seed, trial);
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "random",
                .help = "trials drawn at random, by default 16",
                .make = [](const Plan& plan) { return std::make_unique<RandomSearch>(plan); }});
}

}  // namespace lambdaml::tune::random
