#include "lambdaml/model/reporting.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/model/losses.h"

/// The names under which jobs report what models declare: of models that are in no list.
namespace lambdaml::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A mixture without labels, with two metrics of its own.
Plugin mixture() {
  return {.name = "mixture",
          .help = "m",
          .needs_labels = false,
          .metrics = {{.name = "surprise",
                       .help = "-log likelihood, mean per row",
                       .of = [](const Totals& totals) { return totals.loss / totals.rows; },
                       .notation = Notation::significant,
                       .digits = 3},
                      {.name = "certain",
                       .help = "c",
                       .higher_is_better = true,
                       .of = [](const Totals& totals) { return totals.correct / totals.rows; },
                       .notation = Notation::percent,
                       .digits = 1}},
          .make = {}};
}

Plugin with_labels() {
  Plugin plugin = mixture();
  plugin.needs_labels = true;
  return plugin;
}

std::vector<std::string> names_of(const std::vector<ReportedMetric>& metrics) {
  std::vector<std::string> names;
  for (const ReportedMetric& reported : metrics) names.push_back(reported.name);
  return names;
}

TEST(Reporting, AModelWithLabelsReportsThreeSetsOfRows) {
  EXPECT_THAT(names_of(reported_metrics(with_labels())),
              ElementsAre("train_surprise", "train_certain", "valid_surprise", "valid_certain",
                          "test_surprise", "test_certain"));
  EXPECT_THAT(names_of(epoch_metrics(with_labels())),
              ElementsAre("train_surprise", "train_certain", "valid_surprise", "valid_certain",
                          "test_surprise", "test_certain"));
  EXPECT_EQ(find(epoch_metrics(with_labels()), "valid_certain")->rows, RowSet::valid);
}

TEST(Reporting, AModelWithoutLabelsReportsItsOwnNames) {
  EXPECT_THAT(names_of(reported_metrics(mixture())),
              ElementsAre("surprise", "certain", "test_surprise", "test_certain"));
  EXPECT_THAT(names_of(epoch_metrics(mixture())), ElementsAre("surprise", "certain"));
  EXPECT_EQ(describe_epoch_metrics(mixture()), "the metrics surprise, certain");
  const std::vector<ReportedMetric> all = epoch_metrics(mixture());
  EXPECT_TRUE(find(all, "surprise")->is_first);
  EXPECT_FALSE(find(all, "surprise")->metric.higher_is_better);
  EXPECT_FALSE(find(all, "certain")->is_first);
  EXPECT_TRUE(find(all, "certain")->metric.higher_is_better);
  EXPECT_EQ(find(all, "test_surprise"), nullptr);
}

TEST(Reporting, ValuesFollowFromTotalsWhereThereAreRows) {
  std::map<std::string, double> values;
  add_metrics(mixture(), RowSet::train, {.loss = 6, .rows = 4, .correct = 1}, true, values);
  EXPECT_EQ(values, (std::map<std::string, double>{{"surprise", 1.5}, {"certain", 0.25}}));
  values.clear();
  add_metrics(with_labels(), RowSet::test, {.loss = 6, .rows = 4, .correct = 1}, true, values);
  EXPECT_EQ(values,
            (std::map<std::string, double>{{"test_surprise", 1.5}, {"test_certain", 0.25}}));
  values.clear();
  for (const RowSet rows : {RowSet::train, RowSet::valid, RowSet::test})
    add_metrics(with_labels(), rows, {}, true, values);
  add_metrics(mixture(), RowSet::valid, {.loss = 6, .rows = 4, .correct = 1}, true, values);
  EXPECT_THAT(values, IsEmpty());
}

TEST(Reporting, WhatIsUndefinedIsLeftOut) {
  Plugin plugin = with_labels();
  plugin.metrics = deep_metrics(Loss::cross_entropy);
  std::map<std::string, double> values;
  add_metrics(plugin, RowSet::valid, {.loss = 6, .rows = 4, .correct = 1, .among_five = 3}, true,
              values);
  EXPECT_EQ(values.at("valid_accuracy_top5"), 0.75);
  values.clear();
  // Of five classes, of which a target always is one.
  add_metrics(plugin, RowSet::valid, {.loss = 6, .rows = 4, .correct = 1, .among_five = -4}, true,
              values);
  EXPECT_EQ(values, (std::map<std::string, double>{{"valid_loss", 1.5}, {"valid_accuracy", 0.25}}));
}

TEST(Reporting, NumbersAreShownAsTheMetricSays) {
  const std::vector<Metric> metrics = mixture().metrics;
  EXPECT_EQ(metrics[0].shown(1234.567), "1.23e+03");
  EXPECT_EQ(metrics[1].shown(0.98765), "98.8 %");
  EXPECT_EQ(shown(2.0 / 3, Notation::fixed, 4), "0.6667");
  EXPECT_EQ(shown(1234567.8, Notation::significant, 6), "1.23457e+06");
  EXPECT_EQ(shown(std::numeric_limits<double>::infinity(), Notation::fixed, 4), "inf");
}

TEST(Reporting, EveryModelDeclaresMetricsThatCanBeNamed) {
  for (const Plugin& plugin : registry().entries()) {
    EXPECT_FALSE(plugin.metrics.empty()) << plugin.name;
    std::map<std::string, double> values;
    add_metrics(plugin, RowSet::train, {.loss = 2, .rows = 4, .correct = 3}, true, values);
    EXPECT_EQ(values.size(), plugin.metrics.size()) << plugin.name << " names one twice";
    for (const Metric& metric : plugin.metrics) {
      EXPECT_EQ(metric.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
                std::string::npos)
          << metric.name;
      EXPECT_FALSE(metric.name.empty() || metric.help.empty()) << plugin.name;
    }
    for (const auto& [name, value] : values) EXPECT_TRUE(std::isfinite(value)) << name;
    for (const Measure& measure : plugin.measures)
      EXPECT_FALSE(measure.name.empty() || measure.help.empty() || !measure.of) << plugin.name;
  }
}

TEST(Reporting, TheNamesOfTheseModelsAreWrittenInFilesAndStay) {
  EXPECT_THAT(names_of(reported_metrics(registry().get("lr"))),
              ElementsAre("train_loss", "train_accuracy", "valid_loss", "valid_accuracy",
                          "test_loss", "test_accuracy"));
  EXPECT_THAT(names_of(epoch_metrics(registry().get("kmeans"))), ElementsAre("inertia"));
  EXPECT_EQ(registry().get("kmeans").metrics[0].of({.loss = 7, .rows = 2}), 7);
  EXPECT_EQ(registry().get("kmeans").metrics[0].shown(7), "7");
}

}  // namespace
}  // namespace lambdaml::model
