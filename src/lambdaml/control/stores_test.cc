#include "lambdaml/control/stores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Nobody listens there.
constexpr const char* kNowhere = "ps://127.0.0.1:1";

class StoresTest : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_OR_SKIP(storage::registry().find("ps") != nullptr, "this build has no store ps");
  }
  static std::string failure_of(storage::Storage& store) {
    try {
      store.load("key");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::unavailable);
      return error.what();
    }
    ADD_FAILURE() << "a store answers where there is none";
    return "";
  }
};

TEST_F(StoresTest, WhatOneHandleHasGivenUpNoOtherWaitsFor) {
  Stores stores;
  const auto first = stores.open(std::string(kNowhere) + "/first");
  const auto second = stores.open_channel(kNowhere, "job");
  EXPECT_THAT(failure_of(*first), Not(HasSubstr("not asked")));
  // One looks once whether it is back.
  failure_of(*first);
  EXPECT_THAT(failure_of(*second), HasSubstr("not asked"));
  // Another job knows nothing of that.
  Stores others;
  EXPECT_THAT(failure_of(*others.open(kNowhere)), Not(HasSubstr("not asked")));
}

TEST_F(StoresTest, AJobThatHurriesWaitsForNoService) {
  Stores stores(Stores::Services::answered);  // it would be waited for 20 s
  const auto opened_before = stores.open(kNowhere);
  stores.hurry();
  const Stopwatch clock;
  failure_of(*opened_before);
  failure_of(*stores.open("ps://localhost:1"));
  EXPECT_LT(clock.seconds(), 10);
}

TEST_F(StoresTest, RequestsAreCountedByKindOfStore) {
  Stores stores;
  stores.open("memory://stores-test/a")->save("key", {});
  stores.open("memory://stores-test/b")->save("key", {});
  const auto own = std::make_shared<storage::Meter>();
  stores.open("memory://stores-test/c", own)->save("key", {});
  EXPECT_EQ(stores.usage().at("memory").put.requests, 2U);
  EXPECT_EQ(own->usage().put.requests, 1U);
}

}  // namespace
}  // namespace lambdaml::control
