#include "lambdaml/report/curves.h"

#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lambdaml::report {
namespace {

TEST(ReportCurves, KeepEveryLineOfAShortFile) {
  const Curves curves = read_curves(
      "{\"epoch\":1,\"train_loss\":0.5,\"compute_s\":1,\"comm_s\":2}\n"
      "{\"epoch\":2,\"train_loss\":0.25,\"valid_loss\":3,\"compute_s\":1,\"comm_s\":3}\n",
      10);
  EXPECT_EQ(curves.every, 1U);
  EXPECT_THAT(curves.epoch, testing::ElementsAre(1, 2));
  EXPECT_THAT(curves.columns.at("train_loss"), testing::ElementsAre(0.5, 0.25));
  EXPECT_TRUE(std::isnan(curves.columns.at("valid_loss")[0]));
  EXPECT_THAT(curves.seconds, testing::ElementsAre(3, 7));
}

TEST(ReportCurves, ThinALongFileAndKeepItsLastLine) {
  std::string text;
  for (int epoch = 1; epoch <= 10'001; ++epoch)
    text += fmt::format("{{\"epoch\":{},\"train_loss\":{},\"compute_s\":1}}\n", epoch, 1.0 / epoch);
  const Curves curves = read_curves(text, 100);
  EXPECT_EQ(curves.epochs, 10'001U);
  EXPECT_LE(curves.epoch.size(), 102U);
  EXPECT_GE(curves.epoch.size(), 90U);
  EXPECT_EQ(curves.epoch.front(), 1U);
  EXPECT_EQ(curves.epoch.back(), 10'001U);
  EXPECT_EQ(curves.seconds.back(), 10'001);
}

TEST(ReportCurves, SkipDamagedLinesAndNameNumbersThatAreNotFinite) {
  const Curves curves = read_curves(
      "{\"epoch\":1,\"train_loss\":0.5}\n{\"epoch\":2,\"train_loss\":null}\nnonsense\n[1]\n{\"epo",
      10);
  EXPECT_EQ(curves.damaged_lines, 3U);
  EXPECT_EQ(curves.not_finite.at("train_loss"), 2U);
  EXPECT_EQ(curves.to_json()["columns"]["train_loss"].dump(), "[0.5,null]");
}

}  // namespace
}  // namespace lambdaml::report
