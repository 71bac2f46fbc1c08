// What `lambdaml calibrate` says of the requests of batches, and what the stores make of them.
#include <cmath>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/servers.h"
#include "integration/stores.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/worker/measure_store.h"

namespace lambdaml::e2e {
namespace {

using storage::Usage;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Calibrations : public CliTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    REQUIRE_SERVER(GetParam());
    CliTest::SetUp();
  }
  std::string place() const {
    return servers::get(GetParam()).uri + "/" + folder().filename().string();
  }
  const storage::Plugin& plugin() const {
    return storage::registry().get(Uri::parse(servers::get(GetParam()).uri).scheme);
  }
  /// Whether this is one of those: others count requests in another way.
  bool is_one_of(const std::vector<std::string>& schemes) const {
    return std::ranges::find(schemes, GetParam()) != schemes.end();
  }
};

INSTANTIATE_TEST_SUITE_P(, Calibrations, testing::ValuesIn(servers::schemes()),
                         [](const auto& info) { return info.param; });

TEST_P(Calibrations, SayWhatARequestOfABatchTakes) {
  const Result measured = lambdaml({"calibrate", "--channel", place(), "--seconds", "0.2"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const std::string profile = read(folder() / "profile.yaml");
  if (GetParam() == "dynamodb") {
    EXPECT_THAT(profile, AllOf(HasSubstr("put_keys: 25\n    put_batch_bytes: 2000000\n"),
                               HasSubstr("get_keys: 25\n    get_batch_bytes: 1000000\n"),
                               HasSubstr("remove_keys: 25\n")));
  } else {
    EXPECT_THAT(profile, Not(HasSubstr("batch_bytes")));
  }
  const bool has_lists =
      GetParam().starts_with("memcached");  // of keys, with requests of their own
  if (GetParam() != "dynamodb" && !has_lists) {
    const std::string removals = GetParam() == "s3" ? "1000" : "1";
    EXPECT_THAT(profile, AllOf(HasSubstr("put_keys: 1\n"), HasSubstr("get_keys: 1\n"),
                               HasSubstr("remove_keys: " + removals + "\n")));
  }
}

TEST_P(Calibrations, CountBatchesAsTheStoreMakesThem) {
  if (!is_one_of({"dynamodb", "s3", "redis", "ps"})) GTEST_SKIP() << "it counts lists of keys, too";
  const auto meter = std::make_shared<storage::Meter>();
  const auto store = storage::open(place(), meter);
  const auto requests_of = [&](auto kind, const auto& call) {
    const std::uint64_t before = (meter->usage().*kind).requests;
    call();
    return static_cast<double>((meter->usage().*kind).requests - before);
  };
  const Buffer bytes(400'000);
  for (const auto& [n, size] : {std::pair<std::size_t, std::size_t>{1, 0},
                                {2, 0},
                                {25, 0},
                                {26, 1000},
                                {60, 1},
                                {24, 90'000},
                                {10, 400'000},
                                {29, 400'000}}) {
    std::vector<std::string> keys;
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < n; ++i) keys.push_back(fmt::format("batch/{:03}", i));
    for (const std::string& key : keys) items.push_back({key, bytes.view().first(size)});
    const auto raw = static_cast<double>(size + 8);  // values of limited size have a mark
    EXPECT_EQ(requests_of(&Usage::put, [&] { store->save_all(items); }),
              plugin().save_batch.requests(n, raw))
        << n << " of " << size;
    // The emulator's replies have room for 1.4 MB: three of the largest items, too.
    if (static_cast<double>(n * size) < plugin().load_batch.bytes || size >= 400'000) {
      EXPECT_EQ(requests_of(&Usage::get, [&] { store->load_present(keys); }),
                plugin().load_batch.requests(n, raw))
          << n << " of " << size;
    }
    EXPECT_EQ(requests_of(&Usage::remove, [&] { store->remove_all(keys); }),
              plugin().removal_batch.requests(n, 0))
        << n << " of " << size;
  }
  for (const std::size_t size :
       {std::size_t{16 << 20}, std::size_t{(16 << 20) + 1}, 40'000'000UL}) {
    if (!std::isfinite(plugin().parts.whole_bytes)) break;
    const Buffer large(size);
    const auto n = static_cast<double>(size);
    EXPECT_EQ(requests_of(&Usage::put, [&] { store->save("large", large); }),
              plugin().parts.saves(n))
        << size;
    EXPECT_EQ(requests_of(&Usage::get, [&] { store->load("large"); }), plugin().parts.loads(n))
        << size;
  }
  store->clear("");
  std::vector<std::string> absent;
  for (int i = 0; i < 2001; ++i) absent.push_back(fmt::format("absent/{}", i));
  const auto plain = storage::open_plain(Uri::parse(place()));
  const bool counts = plain->count_into(meter);
  if (counts) {
    EXPECT_EQ(requests_of(&Usage::remove, [&] { plain->remove_all(absent); }),
              plugin().removal_batch.requests(absent.size(), 0));
  }
}

TEST_P(Calibrations, UseWhatIsExpectedAtLeast) {
  if (!is_one_of({"dynamodb", "s3"})) GTEST_SKIP() << "its requests cost nothing";
  const auto meter = std::make_shared<storage::Meter>();
  const auto store = storage::open(place(), meter);
  const worker::StoreMeasure measured =
      worker::measure_store(*store, {.seconds = 1,
                                     .requests = worker::kLeastMeasureRequests,
                                     .large_requests = worker::kLeastLargeRequests,
                                     .between = {}});
  EXPECT_EQ(measured.ended_by, std::nullopt);
  const Usage used = meter->usage();
  const Usage least = worker::least_measure_usage(
      plugin(), storage::open_plain(Uri::parse(place()))->capabilities().max_value_bytes);
  EXPECT_EQ(used.put.requests, least.put.requests);
  EXPECT_EQ(used.remove.requests, least.remove.requests);
  EXPECT_GE(used.get.requests, least.get.requests);
  EXPECT_LE(used.get.requests, least.get.requests + 100) << "polls";
  if (GetParam() == "s3") {
    EXPECT_EQ(used.list.requests, least.list.requests);
  } else {
    EXPECT_NEAR(used.write_units / least.write_units, 1, 0.05);
    EXPECT_NEAR(used.read_units / least.read_units, 1, 0.2);
  }
}

}  // namespace
}  // namespace lambdaml::e2e
