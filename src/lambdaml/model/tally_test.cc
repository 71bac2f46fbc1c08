#include "lambdaml/model/tally.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/model/classification.h"

namespace lambdaml::model {
namespace {

using ::testing::DoubleEq;
using ::testing::Optional;

/// The value of a measure over all rows.
std::optional<double> value_of(const Tally& tally, const std::string& name) {
  for (const Measure& measure : classification_measures())
    if (measure.name == name) return measure.of(tally);
  ADD_FAILURE() << "no " << name;
  return {};
}
/// Predictions of three classes by their probabilities.
Model::Prediction by_probabilities(const std::vector<std::vector<float>>& rows,
                                   std::span<const float> targets) {
  Model::Prediction out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto best = std::ranges::max_element(rows[i]);
    out.classes.push_back(static_cast<std::uint32_t>(best - rows[i].begin()));
    out.scores.push_back(*best);
    out.probabilities.insert(out.probabilities.end(), rows[i].begin(), rows[i].end());
    out.target_probabilities.push_back(rows[i][static_cast<std::size_t>(targets[i])]);
  }
  return out;
}

/// The expected numbers are those of scikit-learn 1.9: accuracy_score, log_loss,
/// roc_auc_score(multi_class="ovr"), precision_score, recall_score and f1_score(average="macro").
TEST(TallyOfThreeClasses, MeasuresAreThoseOfScikitLearn) {
  const std::vector<std::vector<float>> p = {
      {0.5F, 0.25F, 0.25F},   {0.25F, 0.5F, 0.25F},    {0.125F, 0.25F, 0.625F},
      {0.25F, 0.25F, 0.5F},   {0.625F, 0.25F, 0.125F}, {0.125F, 0.75F, 0.125F},
      {0.5F, 0.375F, 0.125F}, {0.25F, 0.625F, 0.125F}, {0.125F, 0.375F, 0.5F},
      {0.375F, 0.125F, 0.5F}, {0.5F, 0.125F, 0.375F},  {0.25F, 0.5F, 0.25F}};
  const std::vector<float> targets = {0, 1, 2, 0, 0, 1, 1, 0, 2, 2, 0, 0};
  Tally tally(3);
  tally.add(by_probabilities(p, targets), targets);
  EXPECT_EQ(tally.rows(), 12U);
  EXPECT_EQ(tally.count(0, 2), 1U);
  EXPECT_THAT(value_of(tally, "accuracy"), Optional(DoubleEq(0.6666666666666666)));
  EXPECT_NEAR(*value_of(tally, "log_loss"), 0.8194281308428647, 1e-14);
  EXPECT_NEAR(*value_of(tally, "auc"), 0.8595679012345679, 1e-15);
  EXPECT_NEAR(*value_of(tally, "precision"), 0.6666666666666666, 1e-15);
  EXPECT_NEAR(*value_of(tally, "recall"), 0.7222222222222222, 1e-15);
  EXPECT_NEAR(*value_of(tally, "f1"), 0.6761904761904761, 1e-15);
}

TEST(TallyOfThreeClasses, OneThatNeverOccursDoesNotCount) {
  const std::vector<std::vector<float>> p = {
      {0.5F, 0.25F, 0.25F}, {0.25F, 0.5F, 0.25F}, {0.25F, 0.5F, 0.25F}};
  const std::vector<float> targets = {0, 1, 0};
  Tally tally(3);
  tally.add(by_probabilities(p, targets), targets);
  EXPECT_THAT(value_of(tally, "precision"), Optional(DoubleEq(0.75)));
  EXPECT_THAT(value_of(tally, "recall"), Optional(DoubleEq(0.75)));
  // Of class 0 the pairs are (.5, .25) and (.25, .25), of class 1 (.5, .25) and (.5, .5).
  EXPECT_THAT(value_of(tally, "auc"), Optional(DoubleEq(0.75)));
}

TEST(Tally, IsUndefinedWhereThereIsNothingToCompare) {
  Tally tally(2);
  const std::vector<float> ones = {1, 1};
  tally.add({.classes = {1, 0}, .scores = {1, -1}}, ones);
  EXPECT_EQ(value_of(tally, "auc"), std::nullopt);
  EXPECT_EQ(value_of(tally, "log_loss"), std::nullopt);
  EXPECT_THAT(value_of(tally, "accuracy"), Optional(DoubleEq(0.5)));

  const std::vector<float> both = {1, 0};
  tally.add({.classes = {1, 0}, .scores = {std::numeric_limits<float>::quiet_NaN(), -1}}, both);
  EXPECT_TRUE(tally.rankings().empty());
  EXPECT_EQ(value_of(tally, "auc"), std::nullopt);
  // Too many classes to rank.
  EXPECT_TRUE(Tally(Tally::kMostRankedClasses + 1).rankings().empty());
  EXPECT_EQ(Tally(Tally::kMostRankedClasses).rankings().size(), Tally::kMostRankedClasses);
}

TEST(Tally, AddsUpToTheLastBitInAnyOrder) {
  Rng rng(5);
  const auto block = [&](std::size_t n) {
    Model::Prediction out;
    for (std::size_t i = 0; i < n; ++i) {
      out.scores.push_back(static_cast<float>(rng.normal()));
      out.classes.push_back(out.scores.back() > 0 ? 1 : 0);
      out.target_probabilities.push_back(static_cast<float>(rng.uniform(0, 1)));
    }
    return out;
  };
  std::vector<Tally> parts;
  for (const std::size_t n : {1000, 1, 0, 77}) {
    const Model::Prediction prediction = block(n);
    std::vector<float> targets(n);
    for (float& target : targets) target = static_cast<float>(rng.below(2));
    Tally& part = parts.emplace_back(2);
    part.add(prediction, targets);
  }
  Tally forwards(2), backwards(2);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    forwards.add(parts[i]);
    backwards.add(Tally::from_bytes(parts[parts.size() - 1 - i].to_bytes(), "part"));
  }
  EXPECT_EQ(forwards.rows(), 1078U);
  for (const Measure& measure : classification_measures())
    EXPECT_EQ(measure.of(forwards), measure.of(backwards)) << measure.name;
  EXPECT_THROW(forwards.add(Tally(3)), Error);
}

TEST(Tally, ProbabilitiesOfNothingCountAsTheLeast) {
  for (const float p : {0.0F, std::numeric_limits<float>::quiet_NaN()}) {
    Tally tally(2);
    const std::vector<float> targets = {0};
    tally.add({.classes = {1}, .scores = {0}, .target_probabilities = {p}}, targets);
    EXPECT_NEAR(*value_of(tally, "log_loss"), -std::log(1e-15), 1e-12);
  }
}

}  // namespace
}  // namespace lambdaml::model
