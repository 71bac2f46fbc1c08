#include "lambdaml/storage/decorators.h"

#include <atomic>

#include <gmock/gmock.h>

#include "lambdaml/base/wait.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<Storage> memory(const std::string& place) { return open("memory://" + place); }

/// Every fifth call fails as a busy service does.
FaultHook every_fifth_fails() {
  return [calls = std::make_shared<std::atomic<int>>(0)](std::string_view, std::string_view) {
    if (++*calls % 5 == 0) fail(Code::unavailable, "the service is busy");
  };
}
constexpr RetryPolicy kQuick{.attempts = 8, .first_delay_s = 1e-5, .longest_delay_s = 1e-4};
std::shared_ptr<Patience> counting() {
  return std::make_shared<Patience>(PatiencePolicy{.outage_s = 0});
}

INSTANTIATE_TEST_SUITE_P(
    Decorated, StorageConformance,
    testing::Values(
        StoreUnderTest{"prefix",
                       [](const std::string& p) { return with_prefix(memory(p), "some/job/"); }},
        StoreUnderTest{"chunk", [](const std::string& p) { return with_chunks(memory(p), 100); }},
        StoreUnderTest{"chunk_large",
                       [](const std::string& p) { return with_chunks(memory(p), 1 << 20); }},
        StoreUnderTest{"retry", [](const std::string& p) { return with_retry(memory(p)); }},
        StoreUnderTest{"retry_over_faults",
                       [](const std::string& p) {
                         return with_retry(with_faults(memory(p), every_fifth_fails()), kQuick,
                                           counting());
                       }},
        StoreUnderTest{
            "meter",
            [](const std::string& p) { return with_meter(memory(p), std::make_shared<Meter>()); }},
        StoreUnderTest{"fault",
                       [](const std::string& p) {
                         return with_faults(memory(p), [](std::string_view, std::string_view) {});
                       }},
        StoreUnderTest{"cancellation",
                       [](const std::string& p) {
                         return with_cancellation(memory(p), [] {},
                                                  {.first_s = 0.001, .longest_s = 0.01});
                       }},
        StoreUnderTest{"all",
                       [](const std::string& p) {
                         auto store = with_faults(memory(p), every_fifth_fails());
                         store = with_meter(std::move(store), std::make_shared<Meter>());
                         store = with_retry(std::move(store), kQuick, counting());
                         store = with_chunks(std::move(store), 4096);
                         return with_prefix(std::move(store), "job/");
                       }}),
    name_of_store);

TEST(Prefix, WantsASlashAtItsEnd) {
  EXPECT_THROW(with_prefix(memory(unique_place()), "job"), Error);
  EXPECT_THROW(with_prefix(memory(unique_place()), "../"), Error);
  EXPECT_THROW(with_prefix(memory(unique_place()), "/"), Error);
}

class Chunks : public testing::Test {
 protected:
  void TearDown() override { inner_->clear(""); }
  std::shared_ptr<Storage> inner_ = memory(unique_place());
  std::shared_ptr<Meter> meter_ = std::make_shared<Meter>();
  std::shared_ptr<Storage> store_ = with_chunks(with_meter(inner_, meter_), 100);
};

TEST_F(Chunks, CostOneRequestForEachPieceAndOneForTheIndex) {
  store_->save("small", noise(92, 1));  // and the mark of 8 bytes: exactly one piece
  EXPECT_EQ(meter_->usage().put.requests, 1U);
  store_->save("large", noise(950, 1));
  EXPECT_EQ(meter_->usage().put.requests, 1U + 10 + 1);
  EXPECT_EQ(store_->load("large")->size(), 950U);
  EXPECT_EQ(meter_->usage().get.requests, 1U + 10);
  EXPECT_EQ(store_->capabilities().max_value_bytes, Capabilities{}.max_value_bytes);
}

TEST_F(Chunks, LeaveNothingBehind) {
  store_->save("key", noise(950, 1));
  store_->save("key", noise(650, 2));
  EXPECT_EQ(inner_->list("").size(), 1U + 7) << "pieces of the first value";
  store_->save("key", noise(10, 3));
  EXPECT_EQ(inner_->list("").size(), 1U);
  store_->save("key", noise(950, 1));
  EXPECT_FALSE(store_->create("key", noise(950, 4)));
  EXPECT_EQ(inner_->list("").size(), 1U + 10) << "pieces of a value that was not created";
  with_chunks(inner_, 100)->remove("key");
  EXPECT_TRUE(inner_->list("").empty()) << "pieces of a value that another handle saved";
}

TEST_F(Chunks, AreRemovedByAnotherHandleWithoutBeingLoaded) {
  store_->save("small", noise(92, 1));
  store_->save("large", noise(950, 1));
  const auto meter = std::make_shared<Meter>();
  const auto other = with_chunks(with_meter(inner_, meter), 100);
  other->remove("small");
  other->remove("large");
  EXPECT_TRUE(inner_->list("").empty());
  EXPECT_EQ(meter->usage().get.requests, 2U);
  EXPECT_LT(meter->usage().get.bytes, 100U);
}

TEST_F(Chunks, OfANeighbourAreNotCleared) {
  store_->save("key", noise(950, 1));
  store_->save("key.b", noise(950, 2));
  store_->clear("key.");
  EXPECT_THAT(store_->list(""), ElementsAre(Entry{"key", 950}));
  EXPECT_EQ(store_->load("key")->size(), 950U);
  store_->clear("key");
  EXPECT_TRUE(inner_->list("").empty());
}

TEST_F(Chunks, LostOrDamagedAreNoticed) {
  const auto expect_corrupt = [&](const std::string& what) {
    try {
      store_->load("key");
      ADD_FAILURE() << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt) << what;
      EXPECT_THAT(error.what(), HasSubstr("'key'")) << what;
    }
  };
  const auto piece = [&](int i) { return inner_->list("key.chunk/")[i].key; };
  store_->save("key", noise(950, 1));
  inner_->remove(piece(3));
  expect_corrupt("a lost piece");
  store_->save("key", noise(950, 1));
  inner_->save(piece(3), noise(100, 9));
  expect_corrupt("another's piece");
  store_->save("key", noise(950, 1));
  inner_->save(piece(3), noise(90, 9));
  expect_corrupt("a short piece");
  store_->save("key", noise(950, 1));
  Buffer index = *inner_->load("key");
  for (std::size_t i = 0; i < index.size(); ++i) {
    index.data()[i] ^= std::byte{1};
    inner_->save("key", index);
    expect_corrupt(fmt::format("byte {} of the index", i));
    index.data()[i] ^= std::byte{1};
  }
  inner_->save("key", as_bytes("no mark"));
  expect_corrupt("a value without a mark");
  inner_->save("key", {});
  expect_corrupt("an empty value without a mark");
}

TEST_F(Chunks, ValuesOfOthersAreListedAndRemovedAsWhatTheyAre) {
  // As long as an index, and of every kind that is none of ours.
  const std::string foreign(48, 'x');
  std::string damaged;
  {
    store_->save("big", as_bytes(std::string(1000, 'b')));
    damaged = std::string(inner_->load("big")->text());
    ASSERT_EQ(damaged.size(), 48U);
    damaged[20] = static_cast<char>(damaged[20] ^ 1);
  }
  inner_->save("a-foreign", as_bytes(foreign));
  inner_->save("b-damaged", as_bytes(damaged));
  store_->save("c-plain", as_bytes(std::string(40, 'p')));  // 48 with its mark
  EXPECT_THAT(store_->list(""), testing::ElementsAre(Entry{"a-foreign", 48}, Entry{"b-damaged", 48},
                                                     Entry{"big", 1000}, Entry{"c-plain", 40}));
  EXPECT_THROW(store_->load("a-foreign"), Error);
  store_->remove("a-foreign");
  store_->remove("b-damaged");
  store_->remove("big");
  store_->remove("c-plain");
  EXPECT_TRUE(inner_->list("").empty());
}

TEST_F(Chunks, NamesOfPiecesAreTaken) {
  EXPECT_THROW(store_->save("a.chunk/b", as_bytes("x")), Error);
  EXPECT_THROW(store_->save("a.chunk", as_bytes("x")), Error);
}

TEST_F(Chunks, AreNotUsedWhereThereIsNoLimit) { EXPECT_EQ(with_chunks(inner_), inner_); }

class Retries : public testing::Test {
 protected:
  /// Fails the next calls.
  int failures_ = 0;
  Code code_ = Code::unavailable;
  int calls_ = 0;
  std::shared_ptr<Storage> store_ =
      with_retry(with_faults(memory(unique_place()),
                             [this](std::string_view, std::string_view) {
                               ++calls_;
                               if (failures_-- > 0) fail(code_, "no answer from the service");
                             }),
                 {.attempts = 5, .first_delay_s = 1e-5, .longest_delay_s = 1e-4}, counting());
};

TEST_F(Retries, EndWhenACallSucceeds) {
  failures_ = 4;
  store_->save("key", as_bytes("value"));
  EXPECT_EQ(calls_, 5);
  failures_ = 2;
  EXPECT_EQ(store_->load("key")->text(), "value");
}

TEST_F(Retries, CarryALongBatchThroughAServiceThatFailsOften) {
  // In one piece none of these would ever end: of 60 calls in a row, 12 fail.
  const auto flaky =
      with_retry(with_faults(memory(unique_place()), every_fifth_fails()), kQuick, counting());
  std::vector<std::string> keys;
  std::vector<Item> items;
  for (int i = 0; i < 60; ++i) keys.push_back(fmt::format("{:02}", i));
  for (const std::string& key : keys) items.push_back({key, as_bytes(key)});
  flaky->save_all(items);
  EXPECT_EQ(flaky->load_all(keys, Deadline::in(0)).at(59).text(), "59");
  keys.push_back("absent");
  try {
    flaky->load_all(keys, Deadline::in(0.01));
    FAIL();
  } catch (const MissingKeys& missing) {
    EXPECT_THAT(missing.keys(), ElementsAre("absent"));
  }
  flaky->remove_all(keys);
  EXPECT_TRUE(flaky->list("").empty());
}

TEST_F(Retries, GiveUpAndSaySo) {
  failures_ = 100;
  try {
    store_->load("key");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("5 attempts"));
    EXPECT_THAT(error.what(), HasSubstr("no answer from the service"));
  }
  EXPECT_EQ(calls_, 5);
}

/// Each load of the inner store fails, after some time, until there have been so many.
struct Lossy {
  std::string place = unique_place();
  int calls = 0, failures = 0;
  std::shared_ptr<Patience> patience;
  /// Whether a call is answered before it fails, as one of a wait's many polls is.
  bool answers = false;
  std::shared_ptr<Storage> store;

  explicit Lossy(PatiencePolicy policy) : patience(std::make_shared<Patience>(policy)) {
    memory(place)->save("key", as_bytes("value"));
    store = with_retry(with_faults(memory(place),
                                   [this](std::string_view, std::string_view) {
                                     pause_for(0.005);
                                     if (answers) patience->answered();
                                     if (++calls <= failures)
                                       fail(Code::unavailable, "the connection was lost");
                                   }),
                       {.attempts = 5, .first_delay_s = 1e-5, .longest_delay_s = 1e-3}, patience);
  }
};

TEST(Retry, CountsFailuresButNotOfWaitsThatWereAnsweredMeanwhile) {
  Lossy lossy({.outage_s = 0});
  lossy.failures = 20;
  EXPECT_THROW(lossy.store->load("key"), Error);
  EXPECT_EQ(lossy.calls, 5);
  Lossy looks({.outage_s = 0});
  looks.failures = 20;
  EXPECT_THROW(looks.store->load_or_wait("key", Deadline::in(0)), Error);  // a look
  EXPECT_EQ(looks.calls, 1 + 5);
  Lossy silent({.outage_s = 0});
  silent.failures = 20;
  EXPECT_THROW(silent.store->load_or_wait("key", Deadline::in(60)), Error);
  EXPECT_EQ(silent.calls, 1 + 5);
  Lossy waits({.outage_s = 0});
  waits.failures = 20;
  waits.answers = true;
  EXPECT_EQ(waits.store->load_or_wait("key", Deadline::in(60)).text(), "value");
  EXPECT_EQ(waits.calls, 21);
}

TEST(Retry, GivesUpOnceAndThenFailsAtOnce) {
  Lossy lossy({.outage_s = 0.3, .has_answered = true});
  lossy.failures = 1 << 30;
  const Stopwatch clock;
  EXPECT_THROW(lossy.store->load("key"), Error);
  EXPECT_GE(clock.seconds(), 0.25);
  const int calls = lossy.calls;
  EXPECT_GT(calls, 5) << "time counts, not tries";
  const Stopwatch later;
  for (int i = 0; i < 10; ++i) {
    EXPECT_THROW(lossy.store->clear(""), Error);
    EXPECT_THROW(lossy.store->remove_all(std::vector<std::string>{"a", "b"}), Error);
    EXPECT_THROW(lossy.store->load_or_wait("key", Deadline::in(60)), Error);
  }
  EXPECT_LE(lossy.calls - calls, 1 + static_cast<int>(later.seconds() / 0.3)) << "a probe";
  lossy.failures = 0;
  pause_for(0.35);
  EXPECT_EQ(lossy.store->load("key")->text(), "value") << "a probe that was answered ends that";
  EXPECT_EQ(lossy.store->load("key")->text(), "value");
}

TEST(Retry, GivesAServiceThatHasAnsweredBeforeTimeToComeBack) {
  Deadline back = Deadline::never();
  int calls = 0;
  const auto store = with_retry(with_faults(memory(unique_place()),
                                            [&](std::string_view, std::string_view) {
                                              ++calls;
                                              if (!back.passed())
                                                fail(Code::unavailable, "refused");
                                            }),
                                {.attempts = 3, .first_delay_s = 0.001, .longest_delay_s = 0.005},
                                std::make_shared<Patience>(PatiencePolicy{.outage_s = 60}));
  EXPECT_THROW(store->save("key", {}), Error);  // it has never answered
  EXPECT_EQ(calls, 3);
  back = Deadline::in(0);
  store->save("key", as_bytes("value"));
  calls = 0;
  back = Deadline::in(0.1);
  EXPECT_EQ(store->load("key")->text(), "value");
  EXPECT_GT(calls, 3);
  // A wait whose deadline passes during the outage reports what is missing once that is known.
  back = Deadline::in(0.1);
  EXPECT_THROW(store->load_or_wait("absent", Deadline::in(0.01)), MissingKeys);
  EXPECT_TRUE(back.passed());
}

TEST_F(Retries, AreForPassingFaultsOnly) {
  for (const Code code : {Code::permission_denied, Code::resource_exhausted, Code::invalid_argument,
                          Code::data_corrupt}) {
    calls_ = 0;
    failures_ = 100;
    code_ = code;
    EXPECT_THROW(store_->save("key", {}), Error);
    EXPECT_EQ(calls_, 1);
  }
}

TEST_F(Retries, OfAWaitEndWithItsDeadline) {
  failures_ = 1 << 30;
  const auto patient =
      with_retry(with_faults(memory(unique_place()),
                             [](std::string_view, std::string_view) {
                               fail(Code::unavailable, "no answer from the service");
                             }),
                 {.attempts = 1 << 30, .first_delay_s = 0.001, .longest_delay_s = 100});
  const Stopwatch clock;
  EXPECT_THROW(patient->load_or_wait("key", Deadline::in(0.05)), Error);
  EXPECT_LT(clock.seconds(), 5);
}

/// A store whose create() goes through although the answer is lost.
class LosesAnAnswer final : public Storage {
 public:
  explicit LosesAnAnswer(std::shared_ptr<Storage> inner) : inner_(std::move(inner)) {}
  Capabilities capabilities() const override { return inner_->capabilities(); }
  std::string describe() const override { return inner_->describe(); }
  void save(std::string_view key, Bytes value) override { inner_->save(key, value); }
  std::optional<Buffer> load(std::string_view key) override { return inner_->load(key); }
  bool create(std::string_view key, Bytes value) override {
    const bool created = inner_->create(key, value);
    if (!std::exchange(lost_, true)) fail(Code::unavailable, "the connection was lost");
    return created;
  }
  void remove(std::string_view key) override { inner_->remove(key); }
  std::vector<Entry> list(std::string_view prefix) override { return inner_->list(prefix); }

 private:
  std::shared_ptr<Storage> inner_;
  bool lost_ = false;
};

TEST(RetriedCreate, KnowsItsOwnValueAgain) {
  const std::string place = unique_place();
  EXPECT_TRUE(with_retry(std::make_shared<LosesAnAnswer>(memory(place)), kQuick, counting())
                  ->create("key", as_bytes("mine")));
  EXPECT_FALSE(with_retry(std::make_shared<LosesAnAnswer>(memory(place)), kQuick, counting())
                   ->create("key", as_bytes("another's")));
}

TEST(Meters, CountRequestsAndBytesByKind) {
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(memory(unique_place()), meter);
  store->save("a", as_bytes("12345"));
  store->create("b", as_bytes("123"));
  const std::vector<Item> items = {{"c", as_bytes("1")}, {"d", as_bytes("12")}};
  store->save_all(items);
  store->load("a");
  store->load("absent");
  store->load_all(std::vector<std::string>{"c", "d"}, Deadline::in(0));
  store->list("");
  store->remove("a");
  store->remove_all(std::vector<std::string>{"b", "c"});
  const Usage usage = meter->usage();
  EXPECT_EQ(usage.put.requests, 4U);
  EXPECT_EQ(usage.put.bytes, 11U);
  EXPECT_EQ(usage.get.requests, 4U);
  EXPECT_EQ(usage.get.bytes, 8U);
  EXPECT_EQ(usage.list.requests, 1U);
  EXPECT_EQ(usage.remove.requests, 3U);
  EXPECT_EQ(usage.requests(), 12U);
}

TEST(Cancellation, EndsWhatBeginsAndWhatWaits) {
  const auto inner = memory(unique_place());
  int calls_left = 1000;
  const auto store = with_cancellation(inner,
                                       [&] {
                                         if (calls_left-- == 0)
                                           fail(Code::cancelled, "no longer wanted");
                                       },
                                       {.first_s = 0.001, .longest_s = 0.004});
  const std::vector<std::string> keys = {"never"};
  const std::vector<Item> items = {{"c", as_bytes("1")}};
  const auto is_ended = [&](int after, const auto& call) {
    calls_left = after;
    try {
      call();
    } catch (const Error& error) {
      return error.code() == Code::cancelled;
    }
    return false;
  };
  EXPECT_TRUE(is_ended(0, [&] { store->save("a", as_bytes("1")); }));
  EXPECT_TRUE(is_ended(0, [&] { store->create("b", as_bytes("1")); }));
  EXPECT_TRUE(is_ended(0, [&] { store->save_all(items); }));
  EXPECT_TRUE(is_ended(0, [&] { store->load("a"); }));
  EXPECT_TRUE(inner->list("").empty());
  // A wait is asked again and again, and ends long before its deadline.
  EXPECT_TRUE(is_ended(5, [&] { store->load_all(keys, Deadline::never()); }));
  calls_left = 1000;
  EXPECT_THROW(store->load_all(keys, Deadline::in(0.01)), MissingKeys);
}

TEST(Faults, MayStopABatchInTheMiddle) {
  const auto inner = memory(unique_place());
  std::vector<std::string> log;
  const auto store = with_faults(inner, [&](std::string_view verb, std::string_view key) {
    log.push_back(fmt::format("{} {}", verb, key));
    if (key == "b") fail(Code::unavailable, "no answer from the service");
  });
  const std::vector<Item> items = {{"a", {}}, {"b", {}}, {"c", {}}};
  EXPECT_THROW(store->save_all(items), Error);
  EXPECT_THAT(inner->list(""), ElementsAre(Entry{"a", 0}));
  EXPECT_THAT(log, ElementsAre("save a", "save b"));
  EXPECT_THROW(store->load_all(std::vector<std::string>{"a", "b"}, Deadline::in(0)), Error);
}

}  // namespace
}  // namespace lambdaml::storage
