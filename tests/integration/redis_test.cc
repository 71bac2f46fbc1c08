#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "integration/process.h"
#include "integration/stores.h"
#include "integration/talk.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/testing/conformance.h"

/// What is Redis' own, on a real server; what every store must do is tested elsewhere.
namespace lambdaml::storage {
namespace {

using servers::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class On_redis : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_STORE("redis");
    store_ = plain("/0/" + place_);
  }
  void TearDown() override {
    if (store_) store_->clear("");
  }

  static int port() { return servers::get("redis").port; }
  static std::string talk(const std::string& lines) { return servers::talk(port(), lines); }
  /// The store alone, which tries once; `who` is `user:password@` or nothing.
  static std::shared_ptr<Storage> plain(const std::string& path, const std::string& who = "") {
    return open_plain(Uri::parse(fmt::format("redis://{}127.0.0.1:{}{}", who, port(), path)));
  }

  std::string place_ = unique_place();
  std::shared_ptr<Storage> store_;
};

TEST_F(On_redis, AWrongPasswordIsRefusedAndNeverShown) {
  talk("CONFIG SET requirepass tellnobody\r\n");
  const std::string endpoint = fmt::format("redis://127.0.0.1:{}/0", port());
  const std::string wrong = error_of([&] { plain("", ":wrongword@")->save("key", {}); });
  EXPECT_THAT(wrong, StartsWith("permission_denied: " + endpoint + ": saving 'key': "));
  EXPECT_THAT(wrong, AllOf(Not(HasSubstr("wrongword")), Not(HasSubstr("\n"))));
  const std::string user = error_of([&] { plain("", "ann:wrongword@")->load("key"); });
  EXPECT_THAT(user, AllOf(StartsWith("permission_denied"), Not(HasSubstr("wrongword"))));
  EXPECT_THAT(error_of([&] { plain("")->load("key"); }),
              AllOf(StartsWith("permission_denied"), HasSubstr("REDISCLI_AUTH")));
  EXPECT_THAT(error_of([&] { plain("")->load_or_wait("key", Deadline::in(5)); }),
              StartsWith("permission_denied"));
  EXPECT_FALSE(plain("", ":tellnobody@")->load("key").has_value());
  EXPECT_FALSE(plain("", "default:tell%6eobody@")->load("key").has_value());
  ::setenv("REDISCLI_AUTH", "tellnobody", 1);
  EXPECT_FALSE(plain("")->load("key").has_value());
  ::unsetenv("REDISCLI_AUTH");
  talk("AUTH tellnobody\r\nCONFIG SET requirepass \"\"\r\n");
  EXPECT_THAT(error_of([&] { plain("", ":needless@")->load("key"); }),
              AllOf(StartsWith("permission_denied"), Not(HasSubstr("needless"))));
}

TEST_F(On_redis, WhatCannotBeReachedIsUnavailable) {
  const auto load = [](const std::string& uri) {
    return error_of([&] { open_plain(Uri::parse(uri))->load("key"); });
  };
  EXPECT_THAT(load("redis://127.0.0.1:1"),
              "unavailable: redis://127.0.0.1:1/0: loading 'key': cannot connect: Connection "
              "refused");
  EXPECT_THAT(load("redis://:secret@nowhere.invalid"),
              AllOf(StartsWith("unavailable: redis://nowhere.invalid:6379/0: loading 'key': "),
                    Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of([&] { plain("/99999")->load("key"); }), StartsWith("invalid_argument"));
}

TEST_F(On_redis, DatabasesAreApart) {
  const auto other = plain("/1/" + place_);
  store_->save("key", as_bytes("0"));
  EXPECT_FALSE(other->load("key").has_value());
  std::thread waiter(
      [&] { EXPECT_EQ(plain("/1/" + place_)->load_or_wait("key", Deadline::in(60)).text(), "1"); });
  other->save("key", as_bytes("1"));
  waiter.join();
  other->clear("");
  EXPECT_EQ(store_->load("key")->text(), "0");
}

TEST_F(On_redis, AWaitCostsNoProcessorTime) {
  rusage before{};
  rusage after{};
  ::getrusage(RUSAGE_THREAD, &before);
  EXPECT_THROW(store_->load_or_wait("never", Deadline::in(1)), MissingKeys);
  ::getrusage(RUSAGE_THREAD, &after);
  const auto seconds = [](const rusage& usage) {
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  };
  EXPECT_LT(seconds(after) - seconds(before), 0.01);
}

TEST_F(On_redis, AWaitCostsFewRequests) {
  const auto meter = std::make_shared<Meter>();
  const auto metered = plain("/0/" + place_);
  ASSERT_TRUE(metered->count_into(meter));
  EXPECT_THROW(metered->load_or_wait("never", Deadline::in(1.5)), MissingKeys);
  // One look, one more when it is told of saves, one a second.
  EXPECT_LE(meter->usage().get.requests, 5U);
  metered->save("key", as_bytes("12345"));
  metered->load("key");
  metered->remove("key");
  EXPECT_EQ(meter->usage().put.requests, 1U);
  EXPECT_EQ(meter->usage().put.bytes, 5U);
  EXPECT_EQ(meter->usage().get.bytes, 5U);
  EXPECT_EQ(meter->usage().remove.requests, 1U);
}

TEST_F(On_redis, AWaitSeesWhatOthersWriteByOtherMeans) {
  std::thread waiter([&] {
    EXPECT_EQ(plain("/0/" + place_)->load_or_wait("key", Deadline::in(60)).text(), "by hand");
  });
  while (talk("PUBSUB CHANNELS lambdaml:0:" + place_ + "\r\n").find(place_) == std::string::npos)
    std::this_thread::yield();
  talk("SET " + place_ + "/key \"by hand\"\r\n");
  const Stopwatch clock;
  waiter.join();
  EXPECT_LT(clock.seconds(), 5);
}

TEST_F(On_redis, AWaitOutlivesItsListener) {
  std::thread waiter(
      [&] { EXPECT_EQ(plain("/0/" + place_)->load_or_wait("key", Deadline::in(60)).text(), "x"); });
  const auto listens = [&] {
    return talk("PUBSUB CHANNELS lambdaml:0:" + place_ + "\r\n").find(place_) != std::string::npos;
  };
  while (!listens()) std::this_thread::yield();
  talk("CLIENT KILL TYPE pubsub\r\n");
  while (!listens()) std::this_thread::yield();
  const Stopwatch clock;
  store_->save("key", as_bytes("x"));
  waiter.join();
  EXPECT_LT(clock.seconds(), 5);
}

TEST_F(On_redis, AServerThatGoesDuringAWaitIsAFault) {
  store_->save("other", {});
  std::string error;
  std::thread waiter([&] {
    error = error_of([&] { plain("/0/" + place_)->load_or_wait("key", Deadline::in(60)); });
  });
  while (talk("PUBSUB CHANNELS lambdaml:0:" + place_ + "\r\n").find(place_) == std::string::npos)
    std::this_thread::yield();
  servers::get("redis").stop();
  waiter.join();
  servers::get("redis").start();
  EXPECT_THAT(error, StartsWith("unavailable: "));
  EXPECT_THROW(store_->load("key"), Error);  // its connection is dead
  EXPECT_FALSE(store_->load("key").has_value());
}

TEST_F(On_redis, WhatIsNotOursStays) {
  const std::string p = place_;
  talk("SET " + p + "x/key 1\r\nRPUSH " + p + "/list 1\r\nSET " + p + "/aXb/1 1\r\nSET \"" + p +
       "/bad//key\" 1\r\n");
  store_->save("a*b/1", as_bytes("1"));
  store_->save("a[X]b/1", as_bytes("1"));
  EXPECT_THAT(store_->list("a*b/"), ElementsAre(Entry{"a*b/1", 1}));
  EXPECT_THAT(store_->list("a"),
              ElementsAre(Entry{"a*b/1", 1}, Entry{"aXb/1", 1}, Entry{"a[X]b/1", 1}));
  store_->clear("a*b/");
  store_->clear("a[X]b/");
  EXPECT_THAT(store_->list(""), ElementsAre(Entry{"aXb/1", 1}));
  store_->clear("");
  EXPECT_THAT(talk("GET " + p + "x/key\r\nGET \"" + p + "/bad//key\"\r\n"),
              StartsWith("$1\r\n1\r\n$1\r\n1\r\n"));
  talk("DEL " + p + "x/key \"" + p + "/bad//key\"\r\n");
}

TEST_F(On_redis, AUserNeedsNoRightsBeyondItsKeys) {
  talk("ACL SETUSER few reset on >pw resetchannels ~" + place_ +
       "/* +get +set +getrange +exists +strlen +unlink +scan\r\n");
  const auto few = plain("/" + place_, "few:pw@");
  few->save("a/key", as_bytes("value"));
  EXPECT_EQ(few->load("a/key")->text(), "value");
  EXPECT_EQ(few->load_range("a/key", 1, 2)->text(), "al");
  EXPECT_FALSE(few->create("a/key", {}));
  EXPECT_THAT(few->list("a/"), ElementsAre(Entry{"a/key", 5}));
  for (int i = 0; i < 2; ++i) {
    const std::string key = fmt::format("late/{}", i);
    std::thread waiter([&] { EXPECT_EQ(few->load_or_wait(key, Deadline::in(60)).text(), "late"); });
    store_->save(key, as_bytes("late"));
    waiter.join();
  }
  few->clear("");
  EXPECT_TRUE(store_->list("").empty());
  const std::string elsewhere = error_of([&] { plain("/elsewhere", "few:pw@")->load("key"); });
  EXPECT_THAT(elsewhere, AllOf(StartsWith("permission_denied"), HasSubstr("NOPERM")));
  talk("ACL DELUSER few\r\n");
}

TEST_F(On_redis, KeysMayExpire) {
  const auto store = plain("/0/" + place_ + "?ttl=1000");
  store->save("saved", as_bytes("x"));
  EXPECT_TRUE(store->create("created", as_bytes("x")));
  for (const char* key : {"saved", "created"}) {
    const std::string left = talk("TTL " + place_ + "/" + key + "\r\n");
    EXPECT_THAT(left, testing::MatchesRegex(":(1000|99[0-9])\r\n.*")) << key;
  }
  store_->save("kept", as_bytes("x"));
  EXPECT_THAT(talk("TTL " + place_ + "/kept\r\n"), StartsWith(":-1\r\n"));
}

TEST_F(On_redis, AReplicaIsLeftForItsPrimary) {
  const int port = servers::free_port();
  servers::Process process(
      {servers::find_program("redis-server"), "--bind", "127.0.0.1", "--port", std::to_string(port),
       "--save", "", "--replicaof", fmt::format("127.0.0.1 {}", servers::get("redis").port)},
      testing::TempDir(), "replica.log");
  servers::await_answer(process, port, "PING\r\n", "+PONG", Deadline::in(60));
  const auto store =
      storage::open(Uri::parse(fmt::format("redis://127.0.0.1:{}/0/{}", port, place_)));
  store->save("key", as_bytes("x"));
  EXPECT_EQ(store->load("key")->text(), "x");
  EXPECT_TRUE(store_->exists("key")) << "the primary does not have it";
}

TEST_F(On_redis, AFullServerIsExhausted) {
  talk("CONFIG SET maxmemory 1\r\n");
  const std::string error = error_of([&] { store_->save("key", as_bytes("x")); });
  talk("CONFIG SET maxmemory 0\r\n");
  EXPECT_THAT(error,
              AllOf(StartsWith("resource_exhausted"), HasSubstr("saving '" + place_ + "/key': ")));
}

}  // namespace
}  // namespace lambdaml::storage
