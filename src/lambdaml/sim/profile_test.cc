#include "lambdaml/sim/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/sim/world.h"

namespace lambdaml::sim {
namespace {

using testing::HasSubstr;

std::string without(std::string text, const std::string& part) {
  text.replace(text.find(part), part.size(), "");
  return text;
}

const char* const kGood = R"(
name: test
date: 2026-01-01
stores:
  one: {scheme: s3, put: {always: 40}, get: {p0: 10, p50: 20, p100: 30}}
functions: {least_mb: 128, most_mb: 1024, mb_per_processor: 1000, invoke: {always: 10},
            cold_start: {median: 100, sigma: 0.2}, longest_s: 60, gb_second: 1, request: 0}
)";

void expect_refused(const std::string& yaml, const std::string& message) {
  try {
    Profile::parse(yaml, "profile x");
    FAIL() << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Profile, WhatIsMissingOrWrongIsNamed) {
  const Profile profile = Profile::parse(kGood, "profile x");
  EXPECT_EQ(profile.store("one").put.at(0.5), 0.040);
  expect_refused(without(kGood, ", longest_s: 60"),
                 "profile x.functions: the number 'longest_s' is missing");
  expect_refused(without(kGood, "put: {always: 40}, "), "profile x.stores.one: 'put' is missing");
  std::string negative = kGood;
  negative.replace(negative.find("always: 40"), 10, "always: -4");
  expect_refused(negative, "profile x.stores.one.put.always: -4 is negative");
  std::string falling = kGood;
  falling.replace(falling.find("p50: 20"), 7, "p50: 40");
  expect_refused(falling, "p100 is less than p50");
  std::string unknown = kGood;
  unknown.replace(unknown.find("scheme"), 6, "shceme");
  expect_refused(unknown, "did you mean 'scheme'");
  expect_refused("name: [", "profile x");
  std::string indexed = kGood;
  indexed.replace(indexed.find("put:"), 4, "keeps_index: 1, put:");
  expect_refused(indexed, "'keeps_index' is true or false");
  indexed.replace(indexed.find("keeps_index: 1"), 14, "keeps_index: true, adds: true");
  expect_refused(indexed, "profile x.stores.one: a store that adds up keeps no index");
  indexed.replace(indexed.find("adds: true"), 10, "pushes: true");
  expect_refused(indexed, "profile x.stores.one: a store that pushes keeps no index");
}

TEST(Profile, TheMonthsUseChoosesThePrice) {
  for (const auto& [used, price] :
       {std::pair{"0", 1.66667e-5}, {"7.0e+9", 1.5e-5}, {"2.0e+10", 1.33334e-5}}) {
    std::string tiers = kGood;
    tiers.replace(
        tiers.find("gb_second: 1"), 12,
        fmt::format("gb_second: 1, month_gb_seconds: {}, gb_second_tiers: {{0: 1.66667e-5, "
                    "6.0e+9: 1.5e-5, 1.5e+10: 1.33334e-5}}",
                    used));
    EXPECT_EQ(Profile::parse(tiers, "profile x").functions.gb_second, price);
  }
}

TEST(Profile, UnknownStoresAndMemoryAreRefused) {
  const Profile profile = Profile::parse(kGood, "profile x");
  EXPECT_THROW(profile.store("two"), Error);
  EXPECT_THROW(profile.require_memory(64), Error);
  EXPECT_THROW(profile.require_memory(4096), Error);
  EXPECT_NO_THROW(profile.require_memory(512));
  EXPECT_THROW(Profile::open("/no/such/profile.yaml"), Error);
}

TEST(Profile, BuiltInOnesAreGood) {
  for (const std::string& name : Profile::built_in()) EXPECT_NO_THROW(Profile::open(name)) << name;
}

// Exact expectations of the raw samples: of the sources that the profile names.
TEST(Profile, TheSlowestOfManyIsWhatWasMeasured) {
  const Profile profile = Profile::open("aws-x86");
  const auto expect = [&](const char* store, bool puts, double mean, double of10, double of100) {
    const StoreProfile& one = profile.store(store);
    const Latency& latency = puts ? one.put : one.get;
    EXPECT_NEAR(latency.mean(), mean / 1e3, 0.03 * mean / 1e3) << store << puts;
    EXPECT_NEAR(latency.expected_longest(10), of10 / 1e3, 0.05 * of10 / 1e3) << store << puts;
    EXPECT_NEAR(latency.expected_longest(100), of100 / 1e3, 0.18 * of100 / 1e3) << store << puts;
  };
  expect("s3-standard", true, 45.8, 90, 150);
  expect("s3-standard", false, 33.0, 73, 129);
  expect("s3-express", true, 7.6, 10.3, 20.1);
  expect("s3-express", false, 4.9, 6.4, 14.3);
  expect("dynamodb", true, 6.1, 10.0, 23.8);
  expect("dynamodb", false, 4.3, 7.7, 19.5);
  expect("efs", true, 15.0, 21, 37);
  expect("efs", false, 5.3, 7.0, 12.9);
}

TEST(Latency, SamplesAreOfTheirDistribution) {
  Rng rng(1);
  const Latency normal = Latency::log_normal(100, 0.5);
  double sum = 0;
  for (int i = 0; i < 20000; ++i) sum += normal.sample(rng);
  EXPECT_NEAR(sum / 20000, 0.1 * std::exp(0.125), 0.003);
  EXPECT_NEAR(normal.mean(), 0.1 * std::exp(0.125), 0.001);
}

TEST(Link, ABurstIsFastUntilItsCreditIsSpent) {
  Link link({.bytes_per_s = 100, .burst_bytes = 300, .burst_bytes_per_s = 1000});
  EXPECT_DOUBLE_EQ(link.pass(0, 100), 0.1);
  EXPECT_DOUBLE_EQ(link.pass(0, 300), 0.1 + 0.2 + 1);  // 200 of credit are left
  // Half of the credit is back after 1.5 s.
  EXPECT_NEAR(link.pass(2.8, 150), 2.95, 1e-9);
  Link unlimited({});
  EXPECT_DOUBLE_EQ(unlimited.pass(5, 1e12), 5);
}

}  // namespace
}  // namespace lambdaml::sim
