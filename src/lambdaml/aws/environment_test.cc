#include "lambdaml/aws/environment.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "lambdaml/aws/profile.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/base/error.h"

namespace lambdaml::aws {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class AwsEnvironment : public testing::Test {
 protected:
  ~AwsEnvironment() override { std::filesystem::remove(file_); }
  void write_config(const std::string& text) {
    std::ofstream(file_) << text;
    environment_.set("AWS_CONFIG_FILE", file_);
  }
  std::string file_ = testing::TempDir() + "aws-config-" + std::to_string(::getpid());
  ScopedEnvironment environment_;
};

TEST(AwsProfiles, AreReadAsTheToolsReadThem) {
  const auto sections = parse_profiles(
      "lost = before any section\n"
      "[default]\n"
      "region=us-west-2   # a comment\n"
      "; another\n"
      "output = a#b\r\n"
      "[profile  two words]\n"
      "a = b = c\n"
      "s3 =\n"
      "  endpoint_url = http://h:1\n"
      "\tother = 2\n"
      "after = 3\n"
      "no equals sign\n"
      "[broken\n"
      "a = lost\n");
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_THAT(sections.at("default"),
              ElementsAre(Pair("output", "a#b"), Pair("region", "us-west-2")));
  EXPECT_THAT(sections.at("profile two words"),
              ElementsAre(Pair("a", "b = c"), Pair("after", "3"), Pair("s3", ""),
                          Pair("s3.endpoint_url", "http://h:1"), Pair("s3.other", "2")));
  EXPECT_TRUE(parse_profiles("").empty());
}

TEST_F(AwsEnvironment, TheRegionComesFromVariablesThenFiles) {
  EXPECT_EQ(configured_region(), "");
  write_config("[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n");
  EXPECT_EQ(configured_region(), "eu-west-1");
  environment_.set("AWS_PROFILE", "work");
  EXPECT_EQ(configured_region(), "eu-west-2");
  environment_.set("AWS_DEFAULT_REGION", "eu-west-3");
  EXPECT_EQ(configured_region(), "eu-west-3");
  environment_.set("AWS_REGION", "eu-north-1");
  EXPECT_EQ(configured_region(), "eu-north-1");
}

TEST_F(AwsEnvironment, TheEndpointComesFromVariablesThenFiles) {
  EXPECT_EQ(configured_endpoint("s3"), "");
  write_config(
      "[default]\nendpoint_url = http://all\nservices = local\n"
      "[services local]\ndynamodb =\n  endpoint_url = http://dynamodb-in-file\n");
  EXPECT_EQ(configured_endpoint("s3"), "http://all");
  EXPECT_EQ(configured_endpoint("dynamodb"), "http://dynamodb-in-file");
  environment_.set("AWS_ENDPOINT_URL", "http://variable");
  EXPECT_EQ(configured_endpoint("dynamodb"), "http://variable");
  environment_.set("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb");
  EXPECT_EQ(configured_endpoint("dynamodb"), "http://dynamodb");
  EXPECT_EQ(configured_endpoint("s3"), "http://variable");
  environment_.set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
  EXPECT_EQ(configured_endpoint("dynamodb"), "");
}

TEST_F(AwsEnvironment, APlaceIsFound) {
  Place place = find_place("s3", "eu-central-1", "");
  EXPECT_EQ(place.endpoint.url(), "https://s3.eu-central-1.amazonaws.com");
  EXPECT_FALSE(place.endpoint.custom);
  EXPECT_EQ(find_place("dynamodb", "cn-north-1", "").endpoint.host,
            "dynamodb.cn-north-1.amazonaws.com.cn");
  place = find_place("s3", "", "http://127.0.0.1:9000");
  EXPECT_EQ(place.region, "us-east-1");
  EXPECT_TRUE(place.endpoint.custom);
  EXPECT_EQ(place.endpoint.url(), "http://127.0.0.1:9000");
  EXPECT_EQ(place.endpoint.authority("bucket.host"), "bucket.host:9000");
  try {
    find_place("s3", "", "user:hunter2@host:9000");
    ADD_FAILURE() << "it is no endpoint";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
  }
  // The scheme's own port is not part of what is signed.
  EXPECT_EQ(find_place("s3", "", "https://host:443/").endpoint.url(), "https://host");
  EXPECT_EQ(find_place("s3", "", "http://host:80").endpoint.authority(), "host");
  EXPECT_EQ(find_place("s3", "", "http://host:443").endpoint.authority(), "host:443");
}

TEST_F(AwsEnvironment, WhatMakesNoSenseIsSaid) {
  const auto thrown = [](const std::string& region, const std::string& endpoint) {
    try {
      find_place("s3", region, endpoint);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_THAT(thrown("", ""), HasSubstr("AWS_REGION"));
  EXPECT_THAT(thrown("us east", ""), HasSubstr("'us east'"));
  EXPECT_THAT(thrown("evil.example/", ""), HasSubstr("no AWS region"));
  for (const char* endpoint :
       {"127.0.0.1:9000", "ftp://h", "http://h/path", "http://", "http://a b", "http://h?x=y"})
    EXPECT_THAT(thrown("us-east-1", endpoint), Not("nothing thrown")) << endpoint;
  EXPECT_THAT(thrown("us-east-1", "http://user:secret@h"), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace lambdaml::aws
