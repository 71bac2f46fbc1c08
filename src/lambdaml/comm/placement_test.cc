#include <mutex>
#include <set>

#include <gmock/gmock.h>

#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/wrapper.h"

/// Where a store that spreads keys over servers gets the messages of a round.
namespace lambdaml::comm {
namespace {

using testing::Each;

/// A store that may spread keys over servers; keeps what is in braces in the keys that are saved.
class Spreading final : public storage::Wrapper {
 public:
  explicit Spreading(std::shared_ptr<storage::Storage> inner, bool by_braces)
      : Wrapper(std::move(inner)), by_braces_(by_braces) {}
  storage::Capabilities capabilities() const override {
    storage::Capabilities out = inner().capabilities();
    out.keeps_together_by_braces = by_braces_;
    return out;
  }
  void save(std::string_view key, Bytes value) override {
    note(key);
    inner().save(key, value);
  }
  void save_all(std::span<const storage::Item> items) override {
    for (const storage::Item& item : items) note(item.key);
    inner().save_all(items);
  }
  bool create(std::string_view key, Bytes value) override {
    note(key);
    return inner().create(key, value);
  }

  static inline std::mutex mutex;
  static inline std::set<std::string> places;

 private:
  static void note(std::string_view key) {
    const std::size_t open = key.find('{'), close = key.find('}');
    const std::lock_guard lock(mutex);
    places.emplace(open < close ? key.substr(open, close - open + 1) : "");
    // The folder is that by which readers are woken.
    EXPECT_TRUE(open == key.npos || open == key.rfind('/') + 1) << key;
  }

  const bool by_braces_;
};

class Placement : public testing::TestWithParam<std::string> {
 protected:
  /// What is in braces in the keys of a few rounds.
  std::set<std::string> places(std::uint64_t id, std::size_t n, bool by_braces = true) const {
    Job all{.pattern = GetParam(), .workers = 3, .n = n, .uri = memory_place(), .id = id};
    all.decorate = [by_braces](std::shared_ptr<storage::Storage> store, std::uint32_t) {
      return std::make_shared<Spreading>(std::move(store), by_braces);
    };
    Spreading::places.clear();
    EXPECT_THAT(on_threads(3,
                           [&](std::uint32_t w) {
                             if (GetParam() == "async")
                               all.merge_without_waiting(w, {3, 3, 3});
                             else
                               all.merge_rounds(*all.communicator(w), 0, 3);
                           }),
                Each(""));
    return Spreading::places;
  }
};

INSTANTIATE_TEST_SUITE_P(, Placement, testing::Values("reduce", "reduce_scatter", "async"),
                         [](const auto& info) { return info.param; });

TEST_P(Placement, SmallMessagesOfAJobAreInOnePlace) {
  const std::set<std::string> one = places(0x1234abcd, 100);
  EXPECT_THAT(one, testing::ElementsAre("{abcd}"));
  EXPECT_NE(places(0x1234abce, 100), one) << "jobs are spread";
}

TEST_P(Placement, LargeMessagesAreSpread) {
  EXPECT_THAT(places(1, 200'000), testing::ElementsAre(""));
}

TEST_P(Placement, OtherStoresSeeNoneOfIt) {
  EXPECT_THAT(places(1, 100, false), testing::ElementsAre(""));
}

}  // namespace
}  // namespace lambdaml::comm
