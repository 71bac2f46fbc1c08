#include "lambdaml/aws/embedded_metrics.h"

#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lambdaml::aws {
namespace {

using nlohmann::json;

// docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring, "Specification: Embedded metric format".
TEST(EmbeddedMetricsLine, IsTheFormatThatCloudWatchReads) {
  const std::string line = line_of({.name_space = "LambdaML",
                                    .at_ms = 1'700'000'000'123,
                                    .dimensions = {{"model", "lr"}},
                                    .properties = {{"job", "20261130-1"}},
                                    .values = {{"loss", 0.5}, {"round_s", 0.02}}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(json::parse(line), json::parse(R"({
    "_aws": {"Timestamp": 1700000000123, "CloudWatchMetrics": [{
      "Namespace": "LambdaML", "Dimensions": [["model"]],
      "Metrics": [{"Name": "loss"}, {"Name": "round_s"}]}]},
    "model": "lr", "job": "20261130-1", "loss": 0.5, "round_s": 0.02})"));
}

TEST(EmbeddedMetricsLine, LeavesOutWhatTheFormatDoesNotTake) {
  EmbeddedMetrics metrics{
      .name_space = "n", .at_ms = 0, .dimensions = {}, .properties = {}, .values = {}};
  metrics.values["none"] = std::numeric_limits<double>::quiet_NaN();
  for (int i = 0; i < 150; ++i) metrics.values["v" + std::to_string(i)] = i;
  const json line = json::parse(line_of(metrics));
  EXPECT_FALSE(line.contains("none"));
  EXPECT_EQ(line["_aws"]["CloudWatchMetrics"][0]["Metrics"].size(), 100u);
}

}  // namespace
}  // namespace lambdaml::aws
