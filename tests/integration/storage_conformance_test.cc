#include <gmock/gmock.h>

#include "integration/stores.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/testing/conformance.h"

/// What every store must do, on the real servers.
namespace lambdaml::storage {
namespace {

using testing::ElementsAre;

StoreUnderTest store_of(const std::string& scheme) {
  return {scheme, [scheme](const std::string&) { return open(servers::get(scheme).uri); },
          [scheme] { return servers::why_no_store(scheme); }};
}

StoreUnderTest store_below_a_path(const std::string& scheme) {
  return {scheme + "_below_a_path",
          [scheme](const std::string& place) {
            return open(servers::get(scheme).uri + "/" + place + "/some/path");
          },
          [scheme] { return servers::why_no_store(scheme); }};
}

std::vector<StoreUnderTest> stores_under_test() {
  std::vector<StoreUnderTest> stores;
  for (const std::string& scheme : servers::schemes_and_cluster()) {
    stores.push_back(store_of(scheme));
    stores.push_back(store_below_a_path(scheme));
  }
  return stores;
}

INSTANTIATE_TEST_SUITE_P(Servers, StorageConformance, testing::ValuesIn(stores_under_test()),
                         name_of_store);

class RealStore : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { REQUIRE_STORE(GetParam()); }

  std::string uri(const std::string& path = unique_place()) const {
    return servers::get(GetParam()).uri + "/" + path;
  }
};

INSTANTIATE_TEST_SUITE_P(, RealStore, testing::ValuesIn(servers::schemes_and_cluster()),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(RealStore, CarriesLargeValues) {
  for (const std::size_t bytes : {12'000'000U, 100'000'000U}) {
    const Buffer value = noise(bytes, bytes);
    const std::uint64_t sum = checksum(value);
    const std::string place = uri();
    const auto meter = std::make_shared<Meter>();
    const auto store = open(place, meter);
    const Stopwatch up;
    store->save("large", value);
    const double up_s = up.seconds();
    const Stopwatch down;
    const std::optional<Buffer> back = open(place)->load("large");
    const double down_s = down.seconds();
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->size(), bytes);
    EXPECT_EQ(checksum(*back), sum);
    EXPECT_THAT(store->list(""), ElementsAre(Entry{"large", bytes}));
    RecordProperty(fmt::format("up_{}_MBps", bytes / 1'000'000),
                   fmt::format("{:.0f}", static_cast<double>(bytes) / up_s / 1e6));
    RecordProperty(fmt::format("down_{}_MBps", bytes / 1'000'000),
                   fmt::format("{:.0f}", static_cast<double>(bytes) / down_s / 1e6));
    store->remove("large");
    EXPECT_TRUE(store->list("").empty());
  }
}

TEST_P(RealStore, HandlesWithDifferentPrefixesNeverSeeEachOthersKeys) {
  const std::string place = unique_place();
  const auto one = open(uri(place + "/one"));
  const auto two = open(uri(place + "/two"));
  // The same text, but not the same folder.
  const auto longer = open(uri(place + "/one-more"));
  one->save("key", as_bytes("1"));
  two->save("key", as_bytes("2"));
  longer->save("other", as_bytes("3"));
  EXPECT_EQ(one->load("key")->text(), "1");
  EXPECT_EQ(two->load("key")->text(), "2");
  EXPECT_FALSE(one->load("other").has_value());
  EXPECT_THAT(one->list(""), ElementsAre(Entry{"key", 1}));
  EXPECT_THAT(two->list(""), ElementsAre(Entry{"key", 1}));
  one->clear("");
  EXPECT_FALSE(one->load("key").has_value());
  EXPECT_EQ(two->load("key")->text(), "2");
  EXPECT_EQ(longer->load("other")->text(), "3");
  two->clear("");
  longer->clear("");
}

TEST_P(RealStore, IsUnavailableWhileItsServerIsGoneAndGoesOnWhenItIsBack) {
  const auto store = open(uri());
  store->save("before", as_bytes("x"));
  const servers::Server& server = servers::get(GetParam());
  server.stop();
  try {
    store->load("before");
    ADD_FAILURE() << "an answer from nobody";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(std::to_string(server.port)));
  }
  server.start();
  // A service that was given up is asked again every 20 s, for half a second, which is short for a
  // server that has just started on a busy machine.
  const Deadline enough = Deadline::in(120);
  while (true) {
    try {
      store->save("after", as_bytes("y"));
      break;
    } catch (const Error& error) {
      if (error.code() != Code::unavailable || enough.passed()) throw;
      pause_for(0.05);
    }
  }
  EXPECT_EQ(store->load("after")->text(), "y");
  store->clear("");
}

}  // namespace
}  // namespace lambdaml::storage
