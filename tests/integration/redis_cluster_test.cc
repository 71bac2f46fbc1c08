// A Redis cluster whose servers fail and whose slots move, and Redis and Memcached over TLS.
#include "integration/redis_cluster.h"

#include <filesystem>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/stores.h"
#include "integration/talk.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/testing/conformance.h"

namespace lambdaml::storage {
namespace {

using servers::error_of;
using servers::RedisCluster;
using servers::talk;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string first_line(const std::string& text) { return text.substr(0, text.find("\r\n")); }

/// Port of the server that has the slot; "MOVED SLOT HOST:PORT" says it if another is asked.
int owner_of_key(const RedisCluster& cluster, const std::string& key) {
  for (const int port : cluster.ports()) {
    if (talk(port, "ROLE\r\n").find("master") == std::string::npos) continue;
    if (!talk(port, "GET " + key + "\r\n").starts_with("-MOVED")) return port;
  }
  return -1;
}

class On_cluster : public e2e::CliTest {
 protected:
  void SetUp() override {
    REQUIRE_STORE("cluster");
    CliTest::SetUp();
  }
  void TearDown() override {
    if (folder().empty()) return;
    cluster().start();
    CliTest::TearDown();
  }
  static RedisCluster& cluster() { return *servers::get("cluster").cluster; }
  std::string uri() const { return servers::get("cluster").uri + "/" + place_; }
  static std::vector<std::string> some_keys() {
    std::vector<std::string> keys;
    for (int i = 0; i < 100; ++i) keys.push_back(fmt::format("folder/{}", i));
    return keys;
  }

  std::string place_ = unique_place();
};

TEST_F(On_cluster, KeysAreSpreadOverItsServers) {
  const auto store = open(uri());
  std::set<int> ports;
  for (const std::string& key : some_keys()) {
    store->save(key, as_bytes(key));
    ports.insert(owner_of_key(cluster(), place_ + "/" + key));
  }
  EXPECT_EQ(ports.size(), 3U);
  EXPECT_EQ(store->list("folder/").size(), 100U);
  const auto values = open(uri())->load_present(some_keys());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i]->text(), some_keys()[i]);
  store->clear("");
  EXPECT_TRUE(store->list("").empty());
  EXPECT_THAT(
      error_of([&] { open(fmt::format("redis://127.0.0.1:{}/1", cluster().port()))->load("key"); }),
      AllOf(StartsWith("invalid_argument"), HasSubstr("a cluster has no database 1")));
}

TEST_F(On_cluster, AnyServerCanBeNamed) {
  open(uri())->save("key", as_bytes("x"));
  for (const int port : cluster().ports())
    EXPECT_EQ(open(fmt::format("redis://127.0.0.1:{}/{}", port, place_))->load("key")->text(), "x");
}

TEST_F(On_cluster, AWaitHearsOfSavesOnAllServers) {
  const auto store = open_plain(Uri::parse(uri()));
  const std::vector<std::string> keys = some_keys();
  std::thread waiter([&] {
    const auto watch = open_plain(Uri::parse(uri()))->load_all(keys, Deadline::in(60));
    for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(watch[i].text(), keys[i]);
  });
  for (const std::string& key : keys) store->save(key, as_bytes(key));
  waiter.join();
  store->clear("");
}

TEST_F(On_cluster, NotificationsDoNotPassAllServers) {
  const auto sent = [&] {
    std::string all;
    for (const int port : cluster().ports()) {
      const std::string info = talk(port, "CLUSTER INFO\r\n");
      const std::size_t at = info.find("cluster_stats_messages_publish_sent:");
      if (at != std::string::npos) all += first_line(info.substr(at)) + " ";
    }
    return all;
  };
  const std::string before = sent();
  const auto store = open_plain(Uri::parse(uri()));
  for (const std::string& key : some_keys()) store->save(key, as_bytes(key));
  EXPECT_EQ(sent(), before);
  store->clear("");
}

TEST_F(On_cluster, AWaitGoesOnWhenItsChannelMovesToAnotherServer) {
  const auto store = open_plain(Uri::parse(uri()));
  const int source = owner_of_key(cluster(), place_ + "/folder/key");
  int target = -1;
  for (const int port : cluster().ports())
    if (port != source && talk(port, "ROLE\r\n").find("master") != std::string::npos) target = port;
  // The channel is in the slot of the first number that the key's server has.
  int tag = 0;
  while (owner_of_key(cluster(), std::to_string(tag)) != source) ++tag;
  const std::string slot =
      first_line(talk(source, fmt::format("CLUSTER KEYSLOT {}\r\n", tag))).substr(1);
  std::thread waiter([&] {
    const auto other = open_plain(Uri::parse(uri()));
    for (const char* key : {"folder/key", "folder/key2", "folder/key3"})
      EXPECT_EQ(other->load_or_wait(key, Deadline::in(60)).text(), key);
  });
  const Deadline deadline = Deadline::in(60);
  while (talk(source, "PUBSUB SHARDCHANNELS\r\n").find(fmt::format("{{{}}}", tag)) ==
             std::string::npos &&
         !deadline.passed())
    pause_for(0.01);
  const std::string id = talk(target, "CLUSTER MYID\r\n").substr(5, 40);
  for (const int port : {target, source})
    EXPECT_THAT(talk(port, "CLUSTER SETSLOT " + slot + " NODE " + id + "\r\n"), StartsWith("+OK"));
  for (const char* key : {"folder/key", "folder/key2", "folder/key3"}) {
    store->save(key, as_bytes(key));
    EXPECT_EQ(store->load(key)->text(), key);
  }
  waiter.join();
  const std::string back = talk(source, "CLUSTER MYID\r\n").substr(5, 40);
  for (const int port : {source, target})
    EXPECT_THAT(talk(port, "CLUSTER SETSLOT " + slot + " NODE " + back + "\r\n"),
                StartsWith("+OK"));
  store->clear("");
}

TEST_F(On_cluster, KeysAreFoundWhileTheirSlotMoves) {
  const auto store = open_plain(Uri::parse(uri()));
  const std::string tag = "{" + place_ + "}/";  // one slot
  std::vector<std::string> keys;
  for (int i = 0; i < 20; ++i) keys.push_back(tag + std::to_string(i));
  for (const std::string& key : keys) store->save(key, as_bytes(key));
  const std::string full = place_ + "/" + keys[0];
  const int source = owner_of_key(cluster(), full);
  int target = -1;
  for (const int port : cluster().ports())
    if (port != source && talk(port, "ROLE\r\n").find("master") != std::string::npos) target = port;
  const auto id = [](int port) { return talk(port, "CLUSTER MYID\r\n").substr(5, 40); };
  const std::string slot = first_line(talk(source, "CLUSTER KEYSLOT " + full + "\r\n")).substr(1);
  const auto order = [&](int port, const std::string& command) {
    EXPECT_THAT(talk(port, command + "\r\n"), StartsWith("+OK")) << command;
  };
  order(target, "CLUSTER SETSLOT " + slot + " IMPORTING " + id(source));
  order(source, "CLUSTER SETSLOT " + slot + " MIGRATING " + id(target));
  for (int i = 0; i < 10; ++i)
    order(source, fmt::format("MIGRATE 127.0.0.1 {} {}/{} 0 5000", target, place_, keys[i]));
  // Half of the keys are there, half here; new ones are made there.
  for (const std::string& key : keys) EXPECT_EQ(store->load(key)->text(), key);
  const auto values = store->load_present(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(values[i]->text(), keys[i]);
  store->save(tag + "new", as_bytes("new"));
  EXPECT_EQ(store->load(tag + "new")->text(), "new");
  EXPECT_FALSE(store->create(tag + "new", as_bytes("other")));
  EXPECT_FALSE(store->load(tag + "absent"));
  store->remove(keys[3]);
  store->remove(keys[13]);
  EXPECT_FALSE(store->load(keys[3]));
  EXPECT_FALSE(store->load(keys[13]));
  for (int i = 10; i < 20; ++i)
    if (i != 13)
      order(source, fmt::format("MIGRATE 127.0.0.1 {} {}/{} 0 5000", target, place_, keys[i]));
  for (const int port : {target, source})
    order(port, "CLUSTER SETSLOT " + slot + " NODE " + id(target));
  EXPECT_EQ(store->load(keys[15])->text(), keys[15]);
  EXPECT_EQ(store->load_present(keys)[0]->text(), keys[0]);
  store->clear("");
}

TEST_F(On_cluster, AKilledPrimaryIsReplacedAndNoJobNotices) {
  REQUIRE_OR_SKIP(e2e::have_real_data(), "no real data here");
  const std::vector<std::string> job = {"--data",       e2e::real_data("higgs.train.libsvm"),
                                        "--workers",    "3",
                                        "--epochs",     "100",
                                        "--batch-size", "100",
                                        "--output"};
  const auto with = [&](std::vector<std::string> more, const std::string& output) {
    more.insert(more.end(), job.begin(), job.end());
    more.push_back(output);
    return more;
  };
  const std::string expected = read(train(with({}, "whole")).at("model_path").get<std::string>());
  e2e::Command command(folder(), with({"train", "--json", "-q", "--channel", uri()}, "cut"));
  ASSERT_TRUE(e2e::wait_for_epochs(command, folder() / "cut" / "metrics.jsonl", 10));
  int primary = -1;
  for (const int port : cluster().ports())
    if (talk(port, "ROLE\r\n").find("master") != std::string::npos) primary = port;
  cluster().stop(primary);
  const e2e::Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(result.json().at("model_path").get<std::string>()), expected);
  EXPECT_EQ(talk(primary, "PING\r\n"), "") << "the server was not gone";
}

TEST_F(On_cluster, SlotsOfNobodyEndACallWithALine) {
  RedisCluster& all = cluster();
  const auto store = open(uri());
  store->save("key", as_bytes("x"));
  // A primary and all replicas: nobody can take over.
  const int owner = owner_of_key(all, place_ + "/key");
  for (const int port : all.ports())
    if (port == owner || talk(port, "ROLE\r\n").find("slave") != std::string::npos) all.stop(port);
  const Stopwatch clock;
  const std::string error = error_of([&] { store->load("key"); });
  EXPECT_THAT(error, AllOf(StartsWith("unavailable"), HasSubstr("loading"), Not(HasSubstr("\n"))));
  EXPECT_LT(clock.seconds(), 40);
}

// ---- TLS ----

class Encrypted : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { REQUIRE_STORE(GetParam()); }
  static const servers::Server& server() { return servers::get(GetParam()); }
  static std::string uri_at(const std::string& host) {
    std::string uri = server().uri;
    return uri.replace(uri.find("127.0.0.1"), 9, host);
  }
  static std::string ca() {
    return server().environment.front().substr(server().environment.front().find('=') + 1);
  }
};

INSTANTIATE_TEST_SUITE_P(, Encrypted, testing::Values("rediss", "memcacheds"),
                         [](const auto& info) { return info.param; });

TEST_P(Encrypted, ServersAreBelievedByTheirCertificates) {
  ::unsetenv("SSL_CERT_FILE");
  const auto load = [](const std::string& uri) {
    return error_of([&] { open_plain(Uri::parse(uri))->load("key"); });
  };
  const std::string unknown = load(server().uri);
  EXPECT_THAT(unknown, AllOf(StartsWith("permission_denied"), HasSubstr("certificate"),
                             HasSubstr("?ca=FILE"), Not(HasSubstr("\n"))));
  EXPECT_EQ(load(server().uri + "?ca=" + ca()), "nothing thrown");
  EXPECT_EQ(load(uri_at("localhost") + "?ca=" + ca()), "nothing thrown");
  // 127.0.0.2 is this machine too, but the certificate does not name it.
  EXPECT_THAT(load(uri_at("127.0.0.2") + "?ca=" + ca()),
              AllOf(StartsWith("permission_denied"), HasSubstr("IP address mismatch"),
                    HasSubstr("give the host as"), Not(HasSubstr("?ca"))));
  EXPECT_THAT(load(server().uri + "?ca=/etc/hostname"),
              AllOf(StartsWith("invalid_argument"), HasSubstr("/etc/hostname holds no cert")));
  ::setenv("SSL_CERT_FILE", ca().c_str(), 1);
  EXPECT_EQ(load(server().uri), "nothing thrown");
}

TEST_P(Encrypted, BothSidesHaveToBe) {
  std::string plain = server().uri;
  plain.erase(plain.find("s:"), 1);
  EXPECT_THAT(error_of([&] { open_plain(Uri::parse(plain))->load("key"); }),
              StartsWith("unavailable"));
}

TEST_P(Encrypted, LargeValuesPassUndamaged) {
  const auto store = open(server().uri + "/" + unique_place());
  const Buffer value = noise(30'000'000, 1);
  store->save("large", value);
  const auto back = store->load("large");
  ASSERT_TRUE(back);
  EXPECT_TRUE(std::ranges::equal(back->view(), value.view()));
  store->clear("");
}

}  // namespace
}  // namespace lambdaml::storage
