#include "lambdaml/tune/folds.h"

#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lambdaml::tune {
namespace {

TEST(Folds, MetricsAreMeansAndCostsAreSums) {
  const nlohmann::ordered_json first{
      {"model", "lr"},      {"epochs", 5},       {"ended_by", "until"},
      {"train_loss", 0.25}, {"valid_loss", 0.5}, {"valid_accuracy", 0.75},
      {"cost_usd", 2},      {"wall_s", 4},       {"model_path", "0"}};
  nlohmann::ordered_json second = first;
  second["epochs"] = 9;
  second["ended_by"] = "epochs";
  second["valid_loss"] = 0.75;
  second["cost_usd"] = 3;
  second["model_path"] = "1";
  const nlohmann::ordered_json mean =
      mean_of_folds(std::vector<nlohmann::ordered_json>{first, second});
  EXPECT_EQ(mean["valid_loss"], 0.625);
  EXPECT_EQ(mean["train_loss"], 0.25);
  EXPECT_EQ(mean["cost_usd"], 5);
  EXPECT_EQ(mean["wall_s"], 8);
  EXPECT_EQ(mean["epochs"], 9);
  EXPECT_EQ(mean["ended_by"], "epochs");
  EXPECT_EQ(mean["folds"], 2);
  EXPECT_EQ(mean["model_path"], "0");
  EXPECT_EQ(mean["fold_values"]["valid_loss"], nlohmann::ordered_json({0.5, 0.75}));
}

TEST(Folds, OfAModelThatThisBuildLacksTheCostsAreKnown) {
  const nlohmann::ordered_json summary{
      {"model", "of another build"}, {"epochs", 5}, {"valid_loss", 0.5}, {"cost_usd", 2}};
  const std::vector<nlohmann::ordered_json> both{summary, summary};
  EXPECT_TRUE(mean_metrics(both).empty());
  const nlohmann::ordered_json mean = mean_of_folds(both);
  EXPECT_EQ(mean["cost_usd"], 4);
  EXPECT_EQ(mean["epochs"], 5);
  EXPECT_TRUE(mean["fold_values"].empty());
}

}  // namespace
}  // namespace lambdaml::tune
