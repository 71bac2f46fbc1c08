#include "lambdaml/worker/with_best.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::worker {
namespace {

using testing::ElementsAre;

/// Its parameters are the number of steps that it has taken, and its state has one scalar.
class Counting final : public optim::Optimizer {
 public:
  void begin(std::span<const float> parameters) override {
    parameters_.assign(parameters.begin(), parameters.end());
  }
  model::Totals step(const model::Batch&, const optim::Position&) override {
    parameters_[0] = static_cast<float>(++steps_);
    return {};
  }
  std::span<const float> parameters() const override { return parameters_; }
  optim::State state() override { return {{"parameters", parameters_}}; }
  std::vector<double> scalars() const override { return {steps_}; }
  void set_scalars(std::span<const double> scalars) override {
    ASSERT_EQ(scalars.size(), 1U);
    steps_ = scalars[0];
  }

 private:
  std::vector<float> parameters_;
  double steps_ = 0;
};

WithBest begun() {
  WithBest optimizer(std::make_unique<Counting>());
  optimizer.begin(std::vector<float>{0});
  return optimizer;
}

void epochs(WithBest& optimizer, std::uint64_t first, const std::vector<double>& losses) {
  for (const double loss : losses) {
    optimizer.step({}, {});
    optimizer.end_epoch(first++, loss);
  }
}

TEST(WithBest, KeepsTheFirstOfTheBestEpochsWhileTrainingGoesOn) {
  WithBest optimizer = begun();
  EXPECT_EQ(optimizer.best_epoch(), 0U);
  epochs(optimizer, 1, {0.9, 0.5, 0.5, 0.7});
  EXPECT_EQ(optimizer.best_epoch(), 2U);
  EXPECT_THAT(optimizer.best_parameters(), ElementsAre(2));
  EXPECT_THAT(optimizer.parameters(), ElementsAre(4));
}

TEST(WithBest, ALossThatIsNoNumberIsWorseThanAny) {
  WithBest optimizer = begun();
  epochs(optimizer, 1, {std::nan(""), std::nan(""), 5, std::nan("")});
  EXPECT_EQ(optimizer.best_epoch(), 3U);
}

TEST(WithBest, TheBestEpochBelongsToTheState) {
  WithBest optimizer = begun();
  epochs(optimizer, 1, {0.9, 0.5, 0.7});
  WithBest other = begun();
  for (auto& [name, values] : other.state())
    std::ranges::copy(optimizer.state().at(name), values.begin());
  other.set_scalars(optimizer.scalars());
  for (WithBest* each : {&optimizer, &other}) {
    epochs(*each, 4, {0.6});
    EXPECT_EQ(each->best_epoch(), 2U);
    epochs(*each, 5, {0.4});
    EXPECT_EQ(each->best_epoch(), 5U);
    EXPECT_THAT(each->best_parameters(), ElementsAre(5));
  }
  try {
    other.set_scalars(std::vector<double>{1});
    FAIL() << "the state of an optimizer alone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::data_corrupt);
  }
}

}  // namespace
}  // namespace lambdaml::worker
