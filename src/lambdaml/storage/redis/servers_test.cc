#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>

#include "lambdaml/storage/testing/scripted_redis.h"

namespace lambdaml::storage::redis {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// What CLUSTER SLOTS says if one server has all slots.
std::string all_slots_at(int port) {
  return fmt::format("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n{}:{}\r\n", bulk("127.0.0.1"), port);
}

TEST(RedisCluster, ASlotThatHasMovedIsAskedForAtItsNewPlace) {
  std::atomic<int> new_port = 0, old_asked = 0;
  const RawServer new_place(commanded([&](std::string_view command, std::string_view key) {
    if (command == "CLUSTER") return all_slots_at(new_port);
    return bulk("of " + std::string(key));
  }));
  new_port = new_place.port();
  const RawServer old_place(commanded([&](std::string_view command, std::string_view) {
    if (command == "CLUSTER")
      return all_slots_at(old_asked > 0 ? new_port.load() : 0 + old_place.port());
    ++old_asked;
    return fmt::format("-MOVED 1 127.0.0.1:{}\r\n", new_port.load());
  }));
  const auto store = open_at(old_place);
  EXPECT_EQ(store->load("a")->text(), "of a");
  EXPECT_EQ(old_asked, 1);
  const std::vector<std::string> keys = {"b", "c", "d"};
  EXPECT_EQ(store->load_present(keys)[2]->text(), "of d");
  EXPECT_EQ(old_asked, 1) << "the new table was not asked for";
}

TEST(RedisCluster, ASlotThatIsBeingMovedIsAskedForWithAsking) {
  std::string heard;
  const RawServer target(
      commanded([&](std::string_view command, std::string_view key) -> std::string {
        heard += std::string(command) + " ";
        if (command == "ASKING") return "+OK\r\n";
        return bulk("of " + std::string(key));
      }));
  const RawServer source(commanded([&](std::string_view command, std::string_view key) {
    if (command == "CLUSTER") return all_slots_at(source.port());
    if (key == "b") return fmt::format("-ASK 1 127.0.0.1:{}\r\n", target.port());
    return bulk("still " + std::string(key));
  }));
  const auto store = open_at(source);
  const std::vector<std::string> keys = {"a", "b", "c"};
  const auto values = store->load_present(keys);
  EXPECT_EQ(values[0]->text(), "still a");
  EXPECT_EQ(values[1]->text(), "of b");
  EXPECT_EQ(values[2]->text(), "still c");
  EXPECT_EQ(heard, "ASKING GET ");
}

TEST(RedisCluster, EndlessRedirectionsAndSlotsOfNobodyAreUnavailable) {
  const RawServer server(commanded([&](std::string_view command, std::string_view) {
    if (command == "CLUSTER") return all_slots_at(server.port());
    return fmt::format("-MOVED 1 127.0.0.1:{}\r\n", server.port());
  }));
  EXPECT_EQ(thrown_by([&] { open_at(server)->load("a"); }).code(), Code::unavailable);
  const RawServer empty(commanded([](std::string_view, std::string_view) { return "*0\r\n"; }));
  const Error error = thrown_by([&] { open_at(empty)->load("foo"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("no server of the cluster has slot 12182"));
  // What lies in such slots is not known to be absent.
  for (const auto& call : {std::function<void()>([&] { open_at(empty)->list(""); }),
                           std::function<void()>([&] { open_at(empty)->clear(""); })})
    EXPECT_THAT(thrown_by(call).what(), HasSubstr("no server of the cluster has slot 0"));
  const RawServer down(commanded([&](std::string_view command, std::string_view) -> std::string {
    if (command == "CLUSTER") return all_slots_at(down.port());
    return "-CLUSTERDOWN Hash slot not served\r\n";
  }));
  EXPECT_THAT(thrown_by([&] { open_at(down)->load("a"); }).what(),
              AllOf(HasSubstr("CLUSTERDOWN"), HasSubstr("redis-cli --cluster check"),
                    Not(HasSubstr("\n"))));
}

TEST(RedisCluster, ASlotOfNobodyIsLookedForAgain) {
  std::atomic<bool> is_owned = false;
  const RawServer server(commanded([&](std::string_view command, std::string_view) -> std::string {
    if (command == "CLUSTER") return is_owned ? all_slots_at(server.port()) : "*0\r\n";
    return command == "GET" ? "$1\r\nx\r\n" : "*0\r\n";
  }));
  const auto store = open_at(server);
  EXPECT_EQ(thrown_by([&] { store->load("a"); }).code(), Code::unavailable);
  is_owned = true;
  EXPECT_EQ(store->load("a")->text(), "x");
}

TEST(RedisCluster, HasOneDatabase) {
  const RawServer server(commanded([&](std::string_view command, std::string_view) -> std::string {
    return command == "SELECT" ? "-ERR SELECT is not allowed in cluster mode\r\n" : "*0\r\n";
  }));
  const auto store = open_plain(Uri::parse(fmt::format("redis://127.0.0.1:{}/3", server.port())));
  const Error error = thrown_by([&] { store->load("a"); });
  EXPECT_EQ(error.code(), Code::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("a cluster has no database 3"));
}

TEST(RedisReplicas, ThatNameTheirPrimaryAreLeftForIt) {
  std::atomic<bool> primary_is_gone = false, is_promoted = false;
  std::atomic<int> writes = 0;
  const RawServer primary(commanded([&](std::string_view command, std::string_view) -> std::string {
    if (command == "CLUSTER") return kAlone;
    if (primary_is_gone) return "-LOADING\r\n";
    writes += command == "SET";
    if (command == "GET") return bulk("new");
    return command == "PUBLISH" ? ":0\r\n" : "+OK\r\n";
  }));
  const RawServer replica(commanded(
      [&](std::string_view command, std::string_view) -> std::string {
        if (command == "CLUSTER") return kAlone;
        if (command == "GET") return bulk("old");  // a replica lags behind
        if (is_promoted) return command == "PUBLISH" ? ":0\r\n" : "+OK\r\n";
        return "-READONLY You can't write against a read only replica.\r\n";
      },
      [&]() -> std::string {
        if (is_promoted) return kPrimary;
        return fmt::format("*5\r\n{}{}:{}\r\n{}:10\r\n", bulk("slave"), bulk("127.0.0.1"),
                           primary.port(), bulk("connected"));
      }));
  const auto store = open(Uri::parse(fmt::format("redis://127.0.0.1:{}", replica.port())));
  EXPECT_EQ(open_at(replica)->load("key")->text(), "new") << "read from the replica";
  store->save("key", as_bytes("value"));
  store->save("key", as_bytes("value"));
  EXPECT_EQ(writes, 2);
  // One that fails is left when the address of the store has become its replacement's.
  primary_is_gone = true;
  const auto plain = open_at(replica);
  EXPECT_THAT(thrown_by([&] { plain->save("key", {}); }).what(), HasSubstr("LOADING"));
  is_promoted = true;
  plain->save("key", {});
  EXPECT_EQ(plain->load("key")->text(), "old");
}

TEST(RedisReplicas, OfReplicasAreFollowedToThePrimary) {
  const auto replica_of = [](const RawServer& other) {
    return [&other]() -> std::string {
      return fmt::format("*5\r\n{}{}:{}\r\n{}:10\r\n", bulk("slave"), bulk("127.0.0.1"),
                         other.port(), bulk("connected"));
    };
  };
  const auto answer = [](const char* value) {
    return [value](std::string_view command, std::string_view) {
      return command == "CLUSTER" ? kAlone : bulk(value);
    };
  };
  const RawServer primary(commanded(answer("new")));
  const RawServer first(commanded(answer("old"), replica_of(primary)));
  const RawServer second(commanded(answer("older"), replica_of(first)));
  EXPECT_EQ(open_at(second)->load("key")->text(), "new");
}

}  // namespace
}  // namespace lambdaml::storage::redis
