#include "lambdaml/storage/testing/conformance.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <unistd.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"

namespace lambdaml::storage {

using testing::ElementsAre;
using testing::HasSubstr;

std::string unique_place() {
  static std::atomic<int> serial{0};
  return fmt::format("test-{}-{}-{}", ::getpid(), serial++, time_now().time_since_epoch().count());
}

Buffer noise(std::size_t n, std::uint64_t seed) {
  Buffer out(n);
  Rng rng(mix({n, seed}));
  for (std::size_t i = 0; i < n; i += 8) {
    const std::uint64_t word = rng.next();
    std::memcpy(out.data() + i, &word, std::min<std::size_t>(8, n - i));
  }
  return out;
}

namespace {

/// gtest prints bytes as numbers; texts say more.
std::string text_of(const std::optional<Buffer>& value) {
  return value ? std::string(value->text()) : "(absent)";
}

std::vector<std::string> keys_of(const std::vector<Entry>& entries) {
  std::vector<std::string> keys;
  for (const Entry& entry : entries) keys.push_back(entry.key);
  return keys;
}

template <class Call>
std::string code_thrown(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(to_string(error.code()));
  }
  return "nothing thrown";
}

}  // namespace

void StorageConformance::SetUp() {
  const std::string why_missing = GetParam().why_missing ? GetParam().why_missing() : "";
  REQUIRE_OR_SKIP(why_missing.empty(), why_missing);
  place_ = unique_place();
  store_ = GetParam().open(place_);
  other_ = GetParam().open(place_);
}

void StorageConformance::TearDown() {
  if (store_) GetParam().open(place_)->clear("");
}

TEST_P(StorageConformance, WhatIsSavedIsLoadedFromAnyHandle) {
  store_->save("key", as_bytes("value"));
  EXPECT_EQ(text_of(store_->load("key")), "value");
  EXPECT_EQ(text_of(other_->load("key")), "value");
}

TEST_P(StorageConformance, AbsenceIsAnAnswer) {
  EXPECT_FALSE(store_->load("never").has_value());
  EXPECT_FALSE(store_->load("never/so/deep").has_value());
  EXPECT_TRUE(store_->list("").empty());
  EXPECT_NO_THROW(store_->remove("never"));
  EXPECT_NO_THROW(store_->clear("never"));
  EXPECT_NO_THROW(store_->clear("never/"));
  EXPECT_NO_THROW(store_->remove_all(std::vector<std::string>{"never", "never/so/deep"}));
}

TEST_P(StorageConformance, AnEmptyValueIsAValue) {
  store_->save("empty", {});
  ASSERT_TRUE(other_->load("empty").has_value());
  EXPECT_EQ(other_->load("empty")->size(), 0U);
  EXPECT_THAT(other_->list(""), ElementsAre(Entry{"empty", 0}));
}

TEST_P(StorageConformance, AnyBytesComeBackWhole) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::size_t n : {1U, 7U, 8U, 9U, 47U, 48U, 49U, 99U, 100U, 101U, 4095U, 4097U}) {
    const Buffer value = noise(n, 1);
    store_->save("n", value);
    ASSERT_TRUE(std::ranges::equal(other_->load("n")->view(), value.view())) << n;
    EXPECT_THAT(other_->list("n"), ElementsAre(Entry{"n", n}));
  }
  store_->save("n", as_bytes(all));
  EXPECT_EQ(text_of(other_->load("n")), all);
}

TEST_P(StorageConformance, PiecesAreSavedAsOneValue) {
  const Buffer large = noise(5000, 2);
  const std::vector<Bytes> pieces{as_bytes("begin"), {}, large.view(), as_bytes("end")};
  store_->save_gathered("n", pieces);
  ASSERT_TRUE(std::ranges::equal(other_->load("n")->view(), joined(pieces).view()));
  EXPECT_THAT(other_->list("n"), ElementsAre(Entry{"n", 5008}));
  store_->save_gathered("n", {});
  EXPECT_EQ(text_of(other_->load("n")), "");
}

TEST_P(StorageConformance, KeysMayHoldAnyText) {
  const std::vector<std::string> keys = {"a b",
                                         "a+b",
                                         "a%20b",
                                         "a%b",
                                         "a/b/c",
                                         "~-_.",
                                         "(1)!*'",
                                         "été",
                                         "日本語/キー",
                                         "😀",
                                         "a&b=c?d#e",
                                         "\"quoted\"",
                                         "back\\slash",
                                         ".hidden",
                                         ".#lock",
                                         ".##",
                                         "..a",
                                         "a..",
                                         "x/.#1.2",
                                         "-rf",
                                         "A B",
                                         "{}[]<>|;:,@^`$",
                                         std::string(120, 'k')};
  for (const std::string& key : keys) store_->save(key, as_bytes("value of " + key));
  for (const std::string& key : keys) EXPECT_EQ(text_of(other_->load(key)), "value of " + key);
  std::vector<std::string> sorted = keys;
  std::ranges::sort(sorted);
  EXPECT_EQ(keys_of(other_->list("")), sorted);
  for (const std::string& key : keys) {
    other_->remove(key);
    EXPECT_FALSE(store_->load(key).has_value()) << key;
  }
  EXPECT_TRUE(store_->list("").empty());
}

TEST_P(StorageConformance, BadKeysAreRefusedByEveryVerb) {
  const std::vector<std::string> bad = {"",
                                        "/a",
                                        "a/",
                                        "a//b",
                                        ".",
                                        "..",
                                        "../x",
                                        "a/..",
                                        "a/../b",
                                        "./a",
                                        "a/.",
                                        "a\nb",
                                        std::string("a\0b", 3),
                                        "\x7f",
                                        std::string(201, 'k')};
  for (const std::string& key : bad) {
    const auto code_of = [&](auto call) { return code_thrown(call); };
    EXPECT_EQ(code_of([&] { store_->save(key, as_bytes("x")); }), "invalid_argument")
        << "key '" << printable(key) << "'";
    EXPECT_EQ(code_of([&] { store_->create(key, as_bytes("x")); }), "invalid_argument")
        << "key '" << printable(key) << "'";
    // A store may read and remove keys that other software wrote: this one is not there.
    const std::vector<std::string> keys = {key};
    const std::string code = code_of([&] { EXPECT_FALSE(store_->load(key)); });
    EXPECT_THAT(code, testing::AnyOf("invalid_argument", "nothing thrown"));
    const auto is_the_same = [&](auto call) {
      EXPECT_EQ(code_of(call), code) << "key '" << printable(key) << "'";
    };
    is_the_same([&] { store_->remove(key); });
    is_the_same([&] { EXPECT_FALSE(store_->load_present(keys)[0]); });
    is_the_same([&] { EXPECT_FALSE(store_->exists(key)); });
    is_the_same([&] { EXPECT_FALSE(store_->load_range(key, 0, 1)); });
    // What is waited for is what workers write.
    EXPECT_EQ(code_of([&] { store_->load_all(keys, Deadline::in(0)); }), "invalid_argument");
  }
  EXPECT_TRUE(store_->list("").empty());
}

// The names of a folder's files may have any bytes; the keys of S3 may not.
TEST_P(StorageConformance, KeysThatAreNotUtf8AreKeptOrRefused) {
  for (const std::string key : {"\xff", "a\xc3", "x/\xc0\x80", "\xed\xa0\x80.csv"}) {
    const std::string code = code_thrown([&] { store_->save(key, as_bytes("x")); });
    if (code == "invalid_argument") {
      EXPECT_EQ(code_thrown([&] { store_->load(key); }), code);
      EXPECT_EQ(code_thrown([&] { store_->remove(key); }), code);
      continue;
    }
    EXPECT_EQ(code, "nothing thrown") << "key '" << printable(key) << "'";
    EXPECT_EQ(text_of(other_->load(key)), "x");
    EXPECT_EQ(keys_of(other_->list("")), std::vector<std::string>{key});
    store_->remove(key);
  }
  EXPECT_TRUE(store_->list("").empty());
}

TEST_P(StorageConformance, TheLastSaveWins) {
  store_->save("key", as_bytes("a longer first value"));
  other_->save("key", as_bytes("second"));
  EXPECT_EQ(text_of(store_->load("key")), "second");
  store_->save("key", as_bytes("third, which is longer than the second and has more to say"));
  EXPECT_EQ(other_->load("key")->size(), 58U);
}

TEST_P(StorageConformance, ListIsSortedAndBoundedByThePrefix) {
  for (const char* key : {"b", "a/2", "a/10", "a/1", "ab", "a/b/c", "B"})
    store_->save(key, as_bytes(key));
  EXPECT_THAT(other_->list(""),
              ElementsAre(Entry{"B", 1}, Entry{"a/1", 3}, Entry{"a/10", 4}, Entry{"a/2", 3},
                          Entry{"a/b/c", 5}, Entry{"ab", 2}, Entry{"b", 1}));
  EXPECT_THAT(keys_of(other_->list("a")), ElementsAre("a/1", "a/10", "a/2", "a/b/c", "ab"));
  EXPECT_THAT(keys_of(other_->list("a/")), ElementsAre("a/1", "a/10", "a/2", "a/b/c"));
  EXPECT_THAT(keys_of(other_->list("a/1")), ElementsAre("a/1", "a/10"));
  EXPECT_THAT(keys_of(other_->list("a/b/")), ElementsAre("a/b/c"));
  EXPECT_THAT(keys_of(other_->list("c")), ElementsAre());
  EXPECT_THAT(keys_of(other_->list("a/b/c/d")), ElementsAre());
}

TEST_P(StorageConformance, ClearIsBoundedByThePrefix) {
  for (const char* key : {"job/1", "job/2", "job/x/3", "job2/1", "jo"})
    store_->save(key, as_bytes(key));
  other_->clear("job/");
  EXPECT_THAT(keys_of(store_->list("")), ElementsAre("jo", "job2/1"));
  other_->clear("job2/1");
  EXPECT_THAT(keys_of(store_->list("")), ElementsAre("jo"));
  other_->clear("j");
  EXPECT_THAT(keys_of(store_->list("")), ElementsAre());
  store_->save("job/1", as_bytes("again"));
  EXPECT_EQ(text_of(other_->load("job/1")), "again");
  other_->clear("");
  EXPECT_TRUE(store_->list("").empty());
}

TEST_P(StorageConformance, AKeyMayTakeThePlaceOfAFolderOfRemovedKeys) {
  store_->save("a/b", as_bytes("below"));
  store_->remove("a/b");
  store_->save("a", as_bytes("above"));
  EXPECT_EQ(text_of(other_->load("a")), "above");
  EXPECT_FALSE(other_->load("a/b").has_value());
}

TEST_P(StorageConformance, CreateSavesOnlyWhereNothingIs) {
  EXPECT_TRUE(store_->create("deep/key", as_bytes("first")));
  EXPECT_FALSE(other_->create("deep/key", as_bytes("second")));
  EXPECT_EQ(text_of(store_->load("deep/key")), "first");
  store_->remove("deep/key");
  EXPECT_TRUE(other_->create("deep/key", as_bytes("third")));
  EXPECT_EQ(text_of(store_->load("deep/key")), "third");
}

TEST_P(StorageConformance, OfManyCreatorsOneWins) {
  constexpr int kCreators = 4;
  for (int round = 0; round < 25; ++round) {
    const std::string key = fmt::format("prize/{}", round);
    std::atomic<int> winners{0};
    std::atomic<int> winner{-1};
    std::vector<std::thread> threads;
    for (int i = 0; i < kCreators; ++i)
      threads.emplace_back([&, i, store = i % 2 == 0 ? store_ : other_] {
        if (store->create(key, as_bytes(fmt::format("creator {}", i)))) {
          ++winners;
          winner = i;
        }
      });
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(winners, 1);
    ASSERT_EQ(text_of(store_->load(key)), fmt::format("creator {}", winner.load()));
  }
}

TEST_P(StorageConformance, BatchFormsDoWhatTheSingleOnesDo) {
  std::vector<std::string> keys;
  std::vector<Buffer> values;
  for (std::size_t i = 0; i < 20; ++i) {
    keys.push_back(fmt::format("batch/{}/{}", i % 3, i));
    values.push_back(noise(i * 17, i));
  }
  std::vector<Item> items;
  for (std::size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], values[i]});
  store_->save_all(items);
  std::vector<std::string> backwards(keys.rbegin(), keys.rend());
  const std::vector<Buffer> loaded = other_->load_all(backwards, Deadline::in(0));
  ASSERT_EQ(loaded.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(loaded[i].view(), values[keys.size() - 1 - i].view())) << i;
  other_->remove_all(std::span(keys).subspan(1));
  EXPECT_THAT(keys_of(store_->list("")), ElementsAre("batch/0/0"));
  store_->save_all({});
  store_->remove_all({});
  EXPECT_TRUE(store_->load_all({}, Deadline::in(0)).empty());
  // The same key twice is no fault.
  const std::vector<std::string> twice = {"batch/0/0", "batch/0/0"};
  EXPECT_EQ(store_->load_all(twice, Deadline::in(0)).size(), 2U);
}

TEST_P(StorageConformance, WhatIsSavedAndRemovedAtOnceIsSavedAndRemoved) {
  const Buffer large = noise(3'000'000, 5);
  const std::vector<Item> items{{"round/2", as_bytes("two")}, {"round/large", large}};
  for (const std::size_t n : {1U, 2U}) {
    store_->save("round/0", as_bytes("zero"));
    store_->save("round/1", large);
    other_->save("round/of-another", as_bytes("1"));
    const std::vector<std::string> stale = {"round/0", "round/1", "round/of-another", "never"};
    store_->save_and_remove(std::span(items).first(n), stale);
    EXPECT_EQ(other_->load("round/2")->text(), "two");
    for (const std::string& key : stale) EXPECT_FALSE(other_->load(key)) << key;
  }
  EXPECT_EQ(other_->load("round/large")->view().size(), large.size());
  store_->save_and_remove({}, std::vector<std::string>{"round/2"});
  store_->save_and_remove(std::span(items).first(1), {});
  EXPECT_EQ(other_->load("round/2")->text(), "two");
}

TEST_P(StorageConformance, LoadPresentTellsAbsentKeysFromEmptyValues) {
  std::vector<std::string> keys;
  std::vector<Buffer> values;
  for (std::size_t i = 0; i < 60; ++i) {
    keys.push_back(fmt::format("some/{}/{:02}", i % 2, i));
    values.push_back(noise(i * 7, i));
    if (i % 3 != 1) store_->save(keys[i], values[i]);
  }
  keys.push_back(keys.front());
  values.push_back(noise(0, 0));
  const std::vector<std::optional<Buffer>> found = other_->load_present(keys);
  ASSERT_EQ(found.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(found[i].has_value(), i % 3 != 1) << i;
    if (found[i]) {
      EXPECT_TRUE(std::ranges::equal(found[i]->view(), values[i].view())) << i;
    }
  }
  EXPECT_TRUE(store_->load_present({}).empty());
  const std::vector<std::string> one = {"never"};
  EXPECT_FALSE(store_->load_present(one).front().has_value());
}

TEST_P(StorageConformance, ExistsSeesEverySaveAndRemoval) {
  std::string long_name = "long/";  // three times as long where bytes are escaped
  for (int i = 0; i < 40; ++i) long_name += "長";
  for (const std::string& key : {std::string("folder/key"), std::string("e m p t y"), long_name}) {
    EXPECT_FALSE(store_->exists(key)) << key;
    store_->save(key, key.front() == 'e' ? Bytes() : as_bytes("value"));
    EXPECT_TRUE(other_->exists(key)) << key;
    store_->remove(key);
    EXPECT_FALSE(other_->exists(key)) << key;
  }
  store_->save("folder/key", noise(200'000, 5));
  EXPECT_TRUE(other_->exists("folder/key"));
  EXPECT_FALSE(other_->exists("folder"));
  EXPECT_FALSE(other_->exists("folder/key.not"));
}

TEST_P(StorageConformance, ARangeIsCutAtTheValuesEnd) {
  EXPECT_FALSE(store_->load_range("never", 0, 10).has_value());
  store_->save("empty", {});
  ASSERT_TRUE(other_->load_range("empty", 0, 10).has_value());
  EXPECT_EQ(other_->load_range("empty", 0, 10)->size(), 0U);
  EXPECT_EQ(other_->load_range("empty", 3, 0)->size(), 0U);
  for (const std::size_t n : {1U, 48U, 92U, 93U, 1000U, 1'500'000U}) {
    const Buffer value = noise(n, 8);
    store_->save("n", value);
    for (const std::uint64_t begin : {0UL, 1UL, 99UL, 100UL, 101UL, n / 2, n - 1, n, n + 1})
      for (const std::uint64_t bytes : {0UL, 1UL, 100UL, 333UL, n / 3, n, 1UL << 62U}) {
        const std::optional<Buffer> part = other_->load_range("n", begin, bytes);
        ASSERT_TRUE(part.has_value());
        ASSERT_TRUE(std::ranges::equal(part->view(), part_of_value(value, begin, bytes)))
            << n << " bytes: " << bytes << " from " << begin;
      }
    if (n == 1'500'000U) {
      store_->remove("n");
      EXPECT_FALSE(other_->load_range("n", 5, 10).has_value());
    }
  }
}

TEST_P(StorageConformance, AWaitEndsWhenTheLastKeyComes) {
  const std::vector<std::string> keys = {"new/folder/a", "new/folder/b", "elsewhere/c"};
  std::vector<Buffer> found;
  std::thread waiter(
      [&, mine = another_handle()] { found = mine->load_all(keys, Deadline::in(30)); });
  // In an order that is not theirs, and the first written over before the last is there.
  store_->save("elsewhere/c", as_bytes("C"));
  store_->save("new/folder/b", as_bytes("B"));
  other_->save("new/folder/unasked", as_bytes("?"));
  store_->save("new/folder/a", as_bytes("A"));
  waiter.join();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].text(), "A");
  EXPECT_EQ(found[1].text(), "B");
  EXPECT_EQ(found[2].text(), "C");
}

TEST_P(StorageConformance, ManyWaitsOneAfterAnotherAllEnd) {
  // A lost wake-up would show as a wait of 20 s; how long all take together is the machine's.
  constexpr int kRounds = 300;
  double longest_s = 0;
  std::thread pong([&, mine = another_handle()] {
    for (int i = 0; i < kRounds; ++i) {
      mine->load_or_wait(fmt::format("ping/{}", i), Deadline::in(20));
      mine->save(fmt::format("pong/{}", i), as_bytes("!"));
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    store_->save(fmt::format("ping/{}", i), as_bytes("?"));
    const Stopwatch clock;
    ASSERT_EQ(store_->load_or_wait(fmt::format("pong/{}", i), Deadline::in(20)).text(), "!");
    longest_s = std::max(longest_s, clock.seconds());
    if (i % 100 == 50) other_->clear("ping/");  // waits survive the folder's end
  }
  pong.join();
  EXPECT_LT(longest_s, 10);
}

TEST_P(StorageConformance, AWaitInVainNamesWhatIsMissing) {
  store_->save("there", as_bytes("x"));
  const std::vector<std::string> keys = {"there", "missing/1", "missing/2"};
  for (const double seconds : {0.0, 0.05}) {
    const Stopwatch clock;
    try {
      store_->load_all(keys, Deadline::in(seconds));
      FAIL() << "found what is not there";
    } catch (const MissingKeys& missing) {
      EXPECT_EQ(missing.code(), Code::deadline_exceeded);
      EXPECT_THAT(missing.keys(), ElementsAre("missing/1", "missing/2"));
      EXPECT_THAT(missing.what(), HasSubstr("'missing/1', 'missing/2'"));
      EXPECT_THAT(missing.what(), HasSubstr(store_->describe()));
    }
    EXPECT_GE(clock.seconds(), seconds);
    EXPECT_LT(clock.seconds(), seconds + 5);
  }
  EXPECT_EQ(store_->load_or_wait("there", Deadline::in(0)).text(), "x");
}

TEST_P(StorageConformance, AValueOfTwelveMegabytesComesBack) {
  const Buffer value = noise(12'000'000, 3);
  store_->save("large", value);
  const std::optional<Buffer> back = other_->load("large");
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(std::ranges::equal(back->view(), value.view()));
  EXPECT_THAT(other_->list(""), ElementsAre(Entry{"large", 12'000'000}));
  other_->remove("large");
  EXPECT_TRUE(store_->list("").empty());
}

TEST_P(StorageConformance, AThousandKeys) {
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(fmt::format("many/{:04}", i));
  for (const std::string& key : keys) store_->save(key, as_bytes(key));
  EXPECT_EQ(keys_of(other_->list("many/")), keys);
  const std::vector<Buffer> values = other_->load_all(keys, Deadline::in(0));
  for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(values[i].text(), keys[i]);
  other_->remove_all(keys);
  EXPECT_TRUE(store_->list("").empty());
}

TEST_P(StorageConformance, ReadersSeeWholeValuesWhileOthersWrite) {
  constexpr std::size_t kBytes = 20'000;
  const auto value_of = [](int i) {
    Buffer value(kBytes + static_cast<std::size_t>(i % 7) * 1000);
    std::memset(value.data(), 'a' + i % 26, value.size());
    return value;
  };
  store_->save("contended", value_of(0));
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w)
    writers.emplace_back([&, w, mine = another_handle()] {
      for (int i = w; !stop; i += 2) mine->save("contended", value_of(i));
    });
  for (int i = 0; i < 400; ++i) {
    const std::optional<Buffer> value = other_->load("contended");
    if (!value.has_value() || value->size() < kBytes ||
        value->text().find_first_not_of(value->text()[0]) != std::string_view::npos) {
      ADD_FAILURE() << "a torn or lost value in look " << i;
      break;
    }
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
}

TEST_P(StorageConformance, PrefixesShareNothing) {
  const auto one = with_prefix(store_, "jobs/one/");
  const auto two = with_prefix(other_, "jobs/two/");
  one->save("key", as_bytes("1"));
  two->save("key", as_bytes("2"));
  one->save("only/one", as_bytes("!"));
  EXPECT_EQ(text_of(one->load("key")), "1");
  EXPECT_EQ(text_of(two->load("key")), "2");
  EXPECT_FALSE(two->load("only/one").has_value());
  EXPECT_THAT(keys_of(one->list("")), ElementsAre("key", "only/one"));
  EXPECT_TRUE(two->create("only/one", as_bytes("?")));
  one->clear("");
  EXPECT_THAT(keys_of(store_->list("")), ElementsAre("jobs/two/key", "jobs/two/only/one"));
}

TEST_P(StorageConformance, SaysWhatItIsAndHowLargeAValueMayBe) {
  EXPECT_FALSE(store_->describe().empty());
  EXPECT_GE(store_->capabilities().max_value_bytes, 100U);
  EXPECT_TRUE(store_->capabilities().can_list);
}

}  // namespace lambdaml::storage
