#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <unistd.h>

#include "integration/process.h"
#include "integration/stores.h"
#include "integration/talk.h"
#include "lambdaml/base/files.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/testing/conformance.h"

/// What is Memcached's own, on real servers; what every store must do is tested elsewhere.
namespace lambdaml::storage {
namespace {

using servers::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class On_memcached : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_STORE("memcached");
    store_ = open();
    other_ = open();
  }
  void TearDown() override {
    if (store_) store_->clear("");
  }

  static int port() { return servers::get("memcached").port; }
  static std::string talk(const std::string& lines) { return servers::talk(port(), lines); }
  /// A new handle to the store alone, which tries once.
  std::shared_ptr<Storage> open() const {
    return open_plain(Uri::parse(servers::get("memcached").uri + "/" + place_));
  }
  std::vector<std::string> keys(const std::string& prefix = "") const {
    std::vector<std::string> out;
    for (const Entry& entry : other_->list(prefix)) out.push_back(entry.key);
    return out;
  }
  /// The item that lists a folder, as it lies in the server.
  std::string list_item(const std::string& folder) const {
    return talk("get lambdaml/" + place_ + (folder.empty() ? "" : "/") + folder + "\r\n");
  }

  std::string place_ = unique_place();
  std::shared_ptr<Storage> store_;
  std::shared_ptr<Storage> other_;
};

/// A server more, with options.
struct Another {
  explicit Another(std::vector<std::string> options = {}, const char* answer = "VERSION ") {
    std::vector<std::string> command = {servers::find_program("memcached"),
                                        "-l",
                                        "127.0.0.1",
                                        "-p",
                                        std::to_string(port),
                                        "-U",
                                        "0"};
    if (::geteuid() == 0) command.insert(command.end(), {"-u", "root"});
    command.insert(command.end(), options.begin(), options.end());
    process = std::make_unique<servers::Process>(command, testing::TempDir(), "memcached.log");
    servers::await_answer(*process, port, "version\r\n", answer, Deadline::in(60));
  }
  int port = servers::free_port();
  std::unique_ptr<servers::Process> process;
};

TEST_F(On_memcached, WhatCannotBeReachedIsUnavailable) {
  EXPECT_THAT(error_of([] { open_plain(Uri::parse("memcached://127.0.0.1:1")); }),
              AllOf(StartsWith("unavailable: memcached://127.0.0.1:1: "), HasSubstr("connect"),
                    Not(HasSubstr("\n"))));
  EXPECT_THAT(error_of([] { open_plain(Uri::parse("memcached://nowhere.invalid")); }),
              AllOf(StartsWith("unavailable: "), HasSubstr("cannot resolve")));
}

TEST_F(On_memcached, AUserIsAskedForAndNeverShown) {
  const std::string users = testing::TempDir() + "/memcached-users-" + place_;
  write_file(users, as_bytes("ann:tellnobody\n"));
  const Another server({"-Y", users}, "CLIENT_ERROR");
  const auto at = [&](const std::string& who) {
    return open_plain(Uri::parse(fmt::format("memcached://{}127.0.0.1:{}/p", who, server.port)));
  };
  const auto store = at("ann:tellnobody@");
  store->save("key", as_bytes("x"));
  EXPECT_EQ(at("ann:tell%6eobody@")->load("key")->text(), "x");
  EXPECT_THAT(store->list(""), ElementsAre(Entry{"key", 1}));
  for (const char* who : {"", "ann:wrongword@", "bob:tellnobody@"}) {
    const std::string error = error_of([&] { at(who)->load("key"); });
    EXPECT_THAT(error, AllOf(StartsWith("permission_denied"), Not(HasSubstr("wrongword")),
                             Not(HasSubstr("tellnobody")), Not(HasSubstr("\n"))))
        << who;
  }
  std::filesystem::remove(users);
}

TEST_F(On_memcached, SeveralServersAreOneStore) {
  const Another second;
  const Another third;
  const std::string uri = fmt::format("memcached://127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}/p",
                                      port(), second.port, third.port);
  const auto one = storage::open(uri);
  const auto two = storage::open(uri);
  std::vector<std::string> all;
  for (int i = 0; i < 100; ++i) all.push_back(fmt::format("k/{:03}", i));
  for (const std::string& key : all) one->save(key, as_bytes(key));
  EXPECT_EQ(two->load_all(all, Deadline::in(0)).back().text(), "k/099");
  EXPECT_EQ(two->list("k/").size(), 100U);
  // Not all of them lie on the first server: by chance they would, once in 3^40.
  std::string forty = "get";
  for (int i = 0; i < 40; ++i) forty += " lambdaml=p/" + all[i];
  std::size_t on_first = 0;
  const std::string found = talk(forty + "\r\n");
  for (int i = 0; i < 40; ++i) on_first += found.find(all[i]) != std::string::npos ? 1 : 0;
  EXPECT_LT(on_first, 40U);
  const Buffer large = noise(5'000'000, 1);
  one->save("large", large);
  EXPECT_TRUE(std::ranges::equal(two->load("large")->view(), large.view()));

  // What lay on a lost server is an error, not absent, and no other takes its place.
  const auto alone = open_plain(Uri::parse(uri));
  third.process->kill();
  int unavailable = 0;
  for (const std::string& key : all) {
    const std::string error = error_of([&] { EXPECT_TRUE(alone->load(key).has_value()) << key; });
    if (error != "nothing thrown") {
      EXPECT_THAT(error, AllOf(StartsWith("unavailable"), HasSubstr(std::to_string(third.port))));
      ++unavailable;
    }
  }
  EXPECT_GT(unavailable, 0);
  EXPECT_LT(unavailable, 100);
  EXPECT_THAT(error_of([&] { alone->load_all(all, Deadline::in(0)); }), StartsWith("unavailable"));
}

TEST_F(On_memcached, TheServersLimitIsTheLargestValue) {
  const Another large({"-I", "4m"});
  const auto uri = fmt::format("memcached://127.0.0.1:{}", large.port);
  const auto one = open_plain(Uri::parse(uri));
  const std::uint64_t most = one->capabilities().max_value_bytes;
  EXPECT_GT(most, 4'000'000U);
  const std::string longest_key(200, 'k');
  one->save(longest_key, noise(most, 1));
  EXPECT_EQ(one->load(longest_key)->size(), most);
  EXPECT_THAT(
      error_of([&] { one->save("key", noise(5'000'000, 1)); }),
      AllOf(StartsWith("resource_exhausted: " + uri + ": saving 'key': "), HasSubstr("-I")));
  EXPECT_FALSE(one->load("key").has_value());
  // Of several servers, the smallest limit counts.
  const auto both = open_plain(Uri::parse(fmt::format("{},127.0.0.1:{}", uri, port())));
  EXPECT_LT(both->capabilities().max_value_bytes, 1 << 20);
}

TEST_F(On_memcached, KeysThatAreTooLongForItArePutInOtherWords) {
  std::string key = "folder with blanks/";
  while (key.size() < 149) key += "% ";
  store_->save(key.substr(0, 149) + "x", {});
  store_->save(key.substr(0, 149) + "y", as_bytes("value"));
  EXPECT_EQ(other_->load(key.substr(0, 149) + "y")->text(), "value");
  EXPECT_EQ(other_->load(key.substr(0, 149) + "x")->size(), 0U);
  EXPECT_FALSE(other_->load(key.substr(0, 149) + "z").has_value());
  EXPECT_FALSE(other_->create(key.substr(0, 149) + "y", {}));
  EXPECT_THAT(other_->list("folder with blanks/"),
              ElementsAre(Entry{key.substr(0, 149) + "x", 0}, Entry{key.substr(0, 149) + "y", 5}));
  other_->clear("folder with");
  EXPECT_FALSE(store_->load(key.substr(0, 149) + "y").has_value());
}

TEST_F(On_memcached, WhatIsNotOursStays) {
  talk("set foreign 0 0 1\r\nx\r\nset lambdaml 0 0 1\r\ny\r\n");
  store_->save("key", as_bytes("value"));
  open_plain(Uri::parse(servers::get("memcached").uri))->clear("");
  EXPECT_FALSE(store_->load("key").has_value());
  EXPECT_THAT(talk("get foreign lambdaml\r\n"), AllOf(HasSubstr("x\r\n"), HasSubstr("y\r\n")));
}

TEST_F(On_memcached, NothingIsLeftOfAClearedFolder) {
  store_->save("a/b/c", as_bytes("1"));
  store_->save("a/d", as_bytes("2"));
  store_->remove("a/d");
  other_->clear("a/");
  for (const char* folder : {"a/b", "a", ""}) EXPECT_EQ(list_item(folder), "END\r\n") << folder;
}

TEST_F(On_memcached, AFolderThatOneHandleFilledAndEmptiedGoes) {
  store_->save("keep", as_bytes("1"));
  store_->save("a/b/1", as_bytes("1"));
  store_->save("a/b/2", as_bytes("2"));
  store_->remove("a/b/1");
  EXPECT_THAT(list_item("a/b"), HasSubstr("1\n2\n"));
  store_->remove("a/b/2");
  EXPECT_EQ(list_item("a/b"), "END\r\n");
  EXPECT_EQ(list_item("a"), "END\r\n");
  store_->save("a/b/3", as_bytes("3"));
  EXPECT_THAT(keys(), ElementsAre("a/b/3", "keep"));
}

TEST_F(On_memcached, AHandleNoticesThatAnotherHasCleared) {
  store_->save("f/a", as_bytes("1"));
  other_->clear("f/");
  store_->save("f/a", as_bytes("2"));
  store_->save("f/b", as_bytes("3"));
  EXPECT_THAT(keys(), ElementsAre("f/a", "f/b"));
  other_->remove("f/a");
  store_->save("f/a", as_bytes("4"));
  EXPECT_THAT(keys("f/"), ElementsAre("f/a", "f/b"));
}

TEST_F(On_memcached, ARepeatedSaveCostsOneRequestANewKeyTwo) {
  const auto meter = std::make_shared<Meter>();
  ASSERT_TRUE(store_->count_into(meter));
  store_->save("f/a", as_bytes("1"));
  const std::uint64_t first = meter->usage().requests();
  store_->save("f/a", as_bytes("2"));
  EXPECT_EQ(meter->usage().requests() - first, 1U);
  store_->save("f/b", as_bytes("3"));
  EXPECT_LE(meter->usage().requests() - first, 4U);  // 3, or 4 where the machine is slow
}

TEST_F(On_memcached, ListsStayShort) {
  store_->save("f/kept", as_bytes("x"));
  other_->save("f/kept by another", as_bytes("x"));
  for (int i = 0; i < 3000; ++i) {
    const std::string key = fmt::format("f/a name of some length {:06}", i);
    store_->save(key, as_bytes("x"));
    store_->remove(key);
  }
  EXPECT_LT(list_item("f").size(), 40'000U);
  EXPECT_THAT(keys("f/"), ElementsAre("f/kept", "f/kept by another"));
}

TEST_F(On_memcached, AFullListMakesRoom) {
  const Another small({"-I", "16k", "-o", "slab_chunk_max=8192"});
  // Handles that append too little each to tidy by themselves before the list is full.
  std::vector<std::shared_ptr<Storage>> handles;
  for (int i = 0; i < 4; ++i)
    handles.push_back(open_plain(Uri::parse(fmt::format("memcached://127.0.0.1:{}", small.port))));
  handles[0]->save("f/kept", as_bytes("x"));
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string key = fmt::format("f/{:0100}", i);  // 30 KB in all
    handles[i % 4]->save(key, as_bytes("x"));
    handles[0]->remove(key);
  }
  EXPECT_THAT(handles[1]->list(""), ElementsAre(Entry{"f/kept", 1}));
}

TEST_F(On_memcached, NoSaveIsLostFromTheListByAClearAtTheSameTime) {
  std::atomic<bool> stop{false};
  std::thread clearer([&, mine = open()] {
    while (!stop) mine->clear("f/");
  });
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w)
    writers.emplace_back([&, w, mine = open()] {
      for (int i = 0; i < 2000; ++i) {
        mine->save(fmt::format("f/{}/{}", i % 3, 10 * (i / 7) + w), as_bytes("x"));
        if (i % 5 == 0) mine->remove(fmt::format("f/{}/{}", i % 3, 10 * (i / 7) + w));
      }
    });
  for (std::thread& writer : writers) writer.join();
  stop = true;
  clearer.join();
  std::set<std::string> listed;
  for (const std::string& key : keys("f/")) listed.insert(key);
  for (int f = 0; f < 3; ++f)
    for (int i = 0; i < 3000; ++i) {
      const std::string key = fmt::format("f/{}/{}", f, i);
      if (i % 10 < 2) {
        EXPECT_EQ(other_->load(key).has_value(), listed.contains(key)) << key;
      }
    }
  other_->clear("");
  EXPECT_EQ(list_item(""), "END\r\n");
}

}  // namespace
}  // namespace lambdaml::storage
