#include "lambdaml/cost/price_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::cost {
namespace {

using lambdaml::aws::ScriptedAnswer;
using lambdaml::aws::ScriptedRequest;
using lambdaml::aws::ScriptedServer;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPresent =
    "date: 2025-01-02\n"
    "regions:\n"
    "  us-east-1:\n"
    "    lambda: {gb_second: 1.6e-5, request: 2.0e-7}\n"
    "    s3: {put: 5.0e-6, list: 5.0e-6, get: 4.0e-7}\n"
    "    dynamodb: {write_unit: 1.25e-6}\n"
    "    cache.t4g.small: {hour: 0.03}\n"
    "    other: {thing: 7}\n";

/// Price List files, in the form that AWS documents.
class PriceFiles : public ::testing::Test {
 protected:
  /// Adds a product with prices by where their ranges begin.
  void add(const std::string& offer, const std::string& region, const json& attributes,
           const std::vector<std::pair<std::string, std::string>>& tiers,
           const std::string& family = "Serverless") {
    json& file = files_[fmt::format("/offers/v1.0/aws/{}/20261101/{}/index.json", offer, region)];
    file["formatVersion"] = "v1.0";
    file["offerCode"] = offer;
    file["publicationDate"] = "2026-11-01T12:00:00Z";
    const std::string sku = fmt::format("SKU{}", ++products_);
    file["products"][sku] = {{"sku", sku}, {"productFamily", family}, {"attributes", attributes}};
    file["products"][sku]["attributes"]["regionCode"] = region;
    json dimensions;
    for (const auto& [from, dollars] : tiers)
      dimensions[sku + ".T." + from] = {
          {"unit", "x"}, {"beginRange", from}, {"pricePerUnit", {{"USD", dollars}}}};
    file["terms"]["OnDemand"][sku][sku + ".T"] = {{"sku", sku}, {"priceDimensions", dimensions}};
    files_[fmt::format("/offers/v1.0/aws/{}/current/region_index.json", offer)]["regions"][region] =
        {{"regionCode", region},
         {"currentVersionUrl",
          fmt::format("/offers/v1.0/aws/{}/20261101/{}/index.json", offer, region)}};
  }
  void add_region(const std::string& region, const std::string& factor) {
    add("AWSLambda", region, {{"group", "AWS-Lambda-Duration"}, {"locationType", "AWS Region"}},
        {{"0", factor + "e-5"}, {"6000000000", "1e-5"}});
    add("AWSLambda", region, {{"group", "AWS-Lambda-Requests"}}, {{"0", "0.0000002000"}});
    add("AWSLambda", region, {{"group", "AWS-Lambda-Duration-ARM"}}, {{"0", "0.0000133334"}});
    add("AWSLambda", region, {{"group", "AWS-Lambda-Requests-ARM"}}, {{"0", "0.0000002000"}});
    // What the account has free is in a product of its own, at no place.
    add("AWSLambda", region, {{"group", "AWS-Lambda-Requests"}, {"location", "Any"}}, {{"0", "9"}});
    add("AmazonS3", region, {{"group", "S3-API-Tier1"}}, {{"0", factor + "e-6"}}, "API Request");
    add("AmazonS3", region, {{"group", "S3-API-Tier2"}}, {{"0", "4e-7"}}, "API Request");
    // Provisioned capacity has the same group.
    add("AmazonDynamoDB", region, {{"group", "DDB-WriteUnits"}}, {{"0", "0.00065"}},
        "Provisioned IOPS");
    add("AmazonDynamoDB", region, {{"group", "DDB-WriteUnits"}}, {{"0", "0.0000006250"}},
        "Amazon DynamoDB PayPerRequest Throughput");
    add("AmazonDynamoDB", region, {{"group", "DDB-ReadUnits"}}, {{"0", "0.0000001250"}},
        "Amazon DynamoDB PayPerRequest Throughput");
    for (const char* use : {"NodeUsage:cache.t4g.small", "ExtendedSupport:cache.t4g.small"})
      add("AmazonElastiCache", region,
          {{"instanceType", "cache.t4g.small"}, {"cacheEngine", "Redis"}, {"usagetype", use}},
          {{"0", use[0] == 'N' ? "0.0320000000" : "0.1"}}, "Cache Instance");
  }

  UpdatedPrices update(std::vector<std::string> regions = {}) {
    const ScriptedServer server([&](const ScriptedRequest& request) -> ScriptedAnswer {
      if (fails_-- > 0) return {.status = 503};
      const auto found = files_.find(request.target);
      if (found == files_.end()) return {.status = 404};
      return {.body = found->second.is_string() ? found->second.get<std::string>()
                                                : json_text(found->second)};
    });
    return read_price_files(Prices::parse(present_, "present"),
                            {.from = server.url(), .regions = std::move(regions)});
  }
  std::string refused(std::vector<std::string> regions = {}) {
    try {
      update(std::move(regions));
    } catch (const Error& error) {
      code_ = error.code();
      return error.what();
    }
    return "";
  }

  std::string present_ = kPresent;
  std::map<std::string, json> files_;
  int products_ = 0;
  int fails_ = 0;
  Code code_ = Code::internal;
};

TEST_F(PriceFiles, MakeATable) {
  add_region("us-east-1", "1.7");
  add_region("eu-central-1", "1.9");
  add_region("sa-east-1", "3");
  fails_ = 1;
  const UpdatedPrices updated = update({"eu-central-1"});
  const auto& regions = updated.prices.regions();
  ASSERT_EQ(regions.size(), 2u);
  EXPECT_DOUBLE_EQ(regions.at("us-east-1").at("lambda").at("gb_second"), 1.7e-5);
  EXPECT_DOUBLE_EQ(regions.at("us-east-1").at("lambda").at("request"), 2e-7);
  EXPECT_DOUBLE_EQ(regions.at("eu-central-1").at("s3").at("put"), 1.9e-6);
  EXPECT_DOUBLE_EQ(regions.at("eu-central-1").at("s3").at("list"), 1.9e-6);
  EXPECT_DOUBLE_EQ(regions.at("eu-central-1").at("s3").at("get"), 4e-7);
  EXPECT_DOUBLE_EQ(regions.at("us-east-1").at("dynamodb").at("write_unit"), 6.25e-7);
  EXPECT_DOUBLE_EQ(regions.at("eu-central-1").at("cache.t4g.small").at("hour"), 0.032);
  EXPECT_DOUBLE_EQ(regions.at("eu-central-1").at("other").at("thing"), 7);
  EXPECT_THAT(updated.kept, ElementsAre("eu-central-1 other thing, that of us-east-1 of 2025-01-02",
                                        "us-east-1 other thing, of 2025-01-02"));
  EXPECT_THAT(updated.yaml, AllOf(HasSubstr("AWSLambda/20261101/eu-central-1/index.json"),
                                  HasSubstr("2026-11-01T12:00:00Z")));
  EXPECT_GT(updated.prices.date(), "2026");
  EXPECT_EQ(update({"all"}).prices.regions().size(), 3u);
  // The table is one that the next update takes.
  EXPECT_EQ(Prices::parse(updated.yaml, "again").regions(), regions);
}

TEST_F(PriceFiles, SeveralPricesForOneThingAreNone) {
  add_region("us-east-1", "1.7");
  add("AmazonS3", "us-east-1", {{"group", "S3-API-Tier2"}}, {{"0", "5e-7"}}, "API Request");
  const UpdatedPrices updated = update();
  EXPECT_DOUBLE_EQ(updated.prices.regions().at("us-east-1").at("s3").at("get"), 4e-7);
  EXPECT_THAT(updated.kept,
              ::testing::Contains("us-east-1 s3 get (2 prices there), of 2025-01-02"));
}

TEST_F(PriceFiles, WhatAwsNoLongerSellsGoesAndIsSaid) {
  add_region("us-east-1", "1.7");
  add_region("eu-central-1", "1.9");
  present_ =
      "date: 2025-01-02\n"
      "regions:\n"
      "  us-east-1:\n"
      "    lambda: {gb_second: 1.6e-5, request: 2.0e-7}\n"
      "    cache.t1.micro: {hour: 0.02}\n"
      "  eu-central-1:\n"
      "    lambda: {gb_second: 1.6e-5, request: 2.0e-7}\n"
      "    own: {thing: 1}\n"
      "  eu-old-1: {lambda: {gb_second: 1, request: 1}}\n";
  // A region without a service.
  files_["/offers/v1.0/aws/AmazonDynamoDB/current/region_index.json"]["regions"].erase(
      "eu-central-1");
  const UpdatedPrices updated = update();
  EXPECT_THAT(updated.gone,
              ElementsAre("eu-central-1 cache.t1.micro hour", "eu-central-1 dynamodb read_unit",
                          "eu-central-1 dynamodb write_unit", "eu-central-1 own thing", "eu-old-1",
                          "us-east-1 cache.t1.micro hour"));
  EXPECT_THAT(updated.kept, ::testing::IsEmpty());
  const auto& regions = updated.prices.regions();
  EXPECT_EQ(regions.size(), 2u);
  EXPECT_FALSE(regions.at("eu-central-1").contains("dynamodb"));
  EXPECT_FALSE(regions.at("us-east-1").contains("cache.t1.micro"));
  // Rows that came with a newer program.
  EXPECT_DOUBLE_EQ(regions.at("eu-central-1").at("s3").at("get"), 4e-7);
  EXPECT_THAT(updated.yaml, HasSubstr("# Not there: eu-old-1\n"));
  // A file of a form that is not known is none without prices.
  files_["/offers/v1.0/aws/AmazonS3/20261101/us-east-1/index.json"]["products"] = json::object();
  EXPECT_THAT(refused(), AllOf(HasSubstr("no price of s3"), HasSubstr("us-east-1")));
  EXPECT_EQ(code_, Code::data_corrupt);
}

TEST_F(PriceFiles, AreCheckedBeforeTheyAreUsed) {
  EXPECT_THAT(refused(), HasSubstr("the server answered 404"));
  EXPECT_EQ(code_, Code::not_found);
  add_region("us-east-1", "1.7");
  EXPECT_THAT(refused({"mars-north-1"}), HasSubstr("--region mars-north-1"));
  EXPECT_EQ(code_, Code::invalid_argument);
  fails_ = 100;
  EXPECT_THAT(refused(), HasSubstr("503"));
  EXPECT_EQ(code_, Code::unavailable);
  fails_ = 0;

  const std::string index = "/offers/v1.0/aws/AmazonS3/current/region_index.json";
  const std::string file = "/offers/v1.0/aws/AmazonS3/20261101/us-east-1/index.json";
  const auto with = [&](const std::string& path, const json& value) {
    const json before = std::exchange(files_[path], value);
    const std::string line = refused();
    EXPECT_EQ(code_, Code::data_corrupt) << line;
    EXPECT_THAT(line, ::testing::Not(HasSubstr("\n")));
    files_[path] = before;
    return line;
  };
  EXPECT_THAT(with(index, "<html>"), HasSubstr("no JSON object"));
  EXPECT_THAT(with(index, json::object()), HasSubstr("it has no regions"));
  for (const char* url :
       {"http://elsewhere/x", "/offers/v1.0/aws/../../x", "", "/offers/v1.0/aws/a b"})
    EXPECT_THAT(with(index, {{"regions", {{"us-east-1", {{"currentVersionUrl", url}}}}}}),
                HasSubstr("is no file"));
  EXPECT_THAT(with(file, json::object()), HasSubstr("no Price List file of AmazonS3"));
  EXPECT_THAT(with(file, {{"offerCode", "AmazonS3"}}), HasSubstr("no Price List file"));
  const auto with_price = [&](const std::string& dollars) {
    json changed = files_[file];
    for (auto& term : changed["terms"]["OnDemand"])
      for (auto& rate : term)
        for (auto& dimension : rate["priceDimensions"]) dimension["pricePerUnit"]["USD"] = dollars;
    return with(file, changed);
  };
  EXPECT_THAT(with_price("free"), HasSubstr("a price that is no number"));
  EXPECT_THAT(with_price("-1"), HasSubstr("a price that is no number"));
  // Per thousand instead of per one.
  EXPECT_THAT(with_price("0.005"), HasSubstr("cannot be the same unit"));
}

TEST(PriceFilesServer, IsAnAddress) {
  for (const char* from : {"", "pricing", "ftp://x", "https://", "https://a/b", "https://a b"}) {
    try {
      read_price_files(Prices::parse(kPresent, "present"), {.from = from});
      ADD_FAILURE() << from;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("--from"));
    }
  }
}

}  // namespace
}  // namespace lambdaml::cost
