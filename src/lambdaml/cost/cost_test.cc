#include "lambdaml/cost/cost.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"

namespace lambdaml::cost {
namespace {

using testing::HasSubstr;

Prices prices() {
  return Prices::parse(
      "date: 2025-01-02\n"
      "regions:\n"
      "  us-east-1:\n"
      "    lambda: {gb_second: 2.0e-5, request: 1.0e-7}\n"
      "    s3: {put: 5.0e-6, get: 4.0e-7}\n"
      "    dynamodb: {write_unit: 6.0e-7, read_unit: 1.0e-7}\n"
      "  eu-west-1:\n"
      "    s3: {put: 1.0e-5}\n",
      "test");
}

UsageByStore used() {
  UsageByStore usage;
  usage["s3"].put = {100, 5000};
  usage["s3"].get = {1000, 70000};
  usage["s3"].remove = {77, 0};
  usage["dynamodb"].put = {10, 10};
  usage["dynamodb"].write_units = 500;
  usage["dynamodb"].read_units = 200;
  usage["redis"].put = {1'000'000, 1};
  return usage;
}

TEST(Cost, OfRequestsIsTheSumOfKindsAndUnitsByHand) {
  // 100 · 5e-6 + 1000 · 4e-7 + 500 · 6e-7 + 200 · 1e-7; redis has no price, nor have removals.
  EXPECT_NEAR(prices().of_requests(used(), "us-east-1"), 5e-4 + 4e-4 + 3e-4 + 2e-5, 1e-12);
  EXPECT_NEAR(prices().of_requests(used(), "eu-west-1"), 100 * 1e-5, 1e-12);
}

TEST(Cost, OfAFunctionIsItsRoundedTimeTimesItsMemory) {
  // 1.2341 s are billed as 1.235 s; 2,048 MB are 2 GB.
  EXPECT_NEAR(prices().of_function("lambda", 1.2341, 2048, "us-east-1"), 1.235 * 2 * 2e-5 + 1e-7,
              1e-15);
}

TEST(Cost, ARegionWithoutPricesIsPricedAsUsEast1) {
  EXPECT_EQ(prices().priced_region("eu-west-1"), "eu-west-1");
  EXPECT_EQ(prices().priced_region("mars-north-1"), "us-east-1");
  EXPECT_DOUBLE_EQ(prices().of_requests(used(), "mars-north-1"),
                   prices().of_requests(used(), "us-east-1"));
}

TEST(Cost, TheTableThatComesWithTheProgramIsWhole) {
  const Prices table = Prices::built_in();
  EXPECT_THAT(table.date(), testing::MatchesRegex("20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]"));
  UsageByStore usage;
  usage["s3"].put = usage["s3"].get = {1, 0};
  EXPECT_GT(table.of_requests(usage, "eu-central-1"), 0);
  // The original's figures for a round of reduce_scatter by 50 workers on S3 ($0.0145) and the time
  // of fifty functions of 3 GB that costs as much (5.8 s).
  usage["s3"].put = {50 * 50, 0};
  usage["s3"].get = {2 * 50 * 49, 0};
  const double round = table.of_requests(usage, "us-east-1");
  EXPECT_NEAR(round, 0.0145, 0.0001);
  EXPECT_NEAR(50 * table.of_function("lambda", 5.8, 3072, "us-east-1"), round, 0.0001);
}

TEST(Cost, TheUsersOwnTableIsUsedUnlessAnotherIsNamed) {
  const Scratch scratch("lambdaml-cost-");
  const std::filesystem::path& folder = scratch.path();
  make_folder(folder / "lambdaml");
  unsetenv("LAMBDAML_PRICES");
  setenv("XDG_CONFIG_HOME", folder.c_str(), 1);
  EXPECT_EQ(Prices::current().source(), "built-in");
  const std::string own = "date: 2026-01-02\nregions:\n  us-east-1:\n    s3: {put: 1}\n";
  write_file(own_table(), as_bytes(own));
  EXPECT_EQ(Prices::current().date(), "2026-01-02");
  EXPECT_EQ(Prices::current().source(), (folder / "lambdaml/prices.yaml").string());
  const std::string named = (folder / "named.yaml").string();
  write_file(named, as_bytes("date: 2026-03-04\nregions:\n  us-east-1:\n    s3: {put: 1}\n"));
  setenv("LAMBDAML_PRICES", named.c_str(), 1);
  EXPECT_EQ(Prices::current().source(), named);
  unsetenv("LAMBDAML_PRICES");
  unsetenv("XDG_CONFIG_HOME");
}

TEST(Cost, OfServersIsByTheHour) {
  const Prices table = Prices::parse(
      "date: 2025-01-02\nregions:\n  us-east-1:\n    cache.t4g.small: {hour: 0.032}\n", "test");
  EXPECT_EQ(table.of_servers("", 3600, "us-east-1"), 0);
  EXPECT_NEAR(table.of_servers("cache.t4g.small", 1800, "us-east-1"), 0.016, 1e-12);
  EXPECT_NEAR(table.of_servers("2*cache.t4g.small, 3*0.5,0.1", 3600, "eu-west-1"), 1.664, 1e-12);
  const auto message = [&](const char* text) -> std::string {
    try {
      table.of_servers(text, 1, "us-east-1");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return error.what();
    }
    return "";
  };
  for (const char* text : {"0*0.5", "x*0.5", "2*", "*", ",", "-1", "2*3*4"})
    EXPECT_THAT(message(text), HasSubstr("give NUMBER*NAME")) << text;
  EXPECT_THAT(message("2*cache.m9.huge"), HasSubstr("no price by the hour"));
}

TEST(Cost, UsageComesBackFromJson) {
  const UsageByStore back = usage_from_json(to_json(used()));
  ASSERT_EQ(back.size(), 3U);
  EXPECT_EQ(back.at("s3").get.requests, 1000U);
  EXPECT_EQ(back.at("s3").get.bytes, 70000U);
  EXPECT_EQ(back.at("s3").remove.requests, 77U);
  EXPECT_DOUBLE_EQ(back.at("dynamodb").write_units, 500);
  UsageByStore twice = used();
  add(twice, back);
  EXPECT_EQ(twice.at("redis").put.requests, 2'000'000U);
  EXPECT_THROW(usage_from_json(parse_json("{\"s3\": 1}")), Error);
  EXPECT_THROW(usage_from_json(parse_json("nonsense")), Error);
}

TEST(Cost, ABadTableNamesItsLine) {
  const auto message = [](const char* text) -> std::string {
    try {
      Prices::parse(text, "table.yaml");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message("date: 2025-01-01\nregions:\n  us-east-1:\n    s3: {put: free}\n"),
              HasSubstr("table.yaml:4"));
  EXPECT_THAT(message("date: 2025-01-01\nregions:\n  us-east-1:\n    s3: {put: -1}\n"),
              HasSubstr("table.yaml:4"));
  EXPECT_THAT(message("date: 2025-01-01\nregions:\n  eu-west-1:\n    s3: {put: 1}\n"),
              HasSubstr("us-east-1"));
  EXPECT_THAT(message("regions: [\n"), HasSubstr("table.yaml:"));
}

}  // namespace
}  // namespace lambdaml::cost
