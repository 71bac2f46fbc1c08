#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/manual_clock.h"
#include "lambdaml/storage/testing/scripted_redis.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage::redis {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The reply to the ECHO at the end of a trip.
std::string echo_of(std::string_view request) {
  return std::string(request.substr(request.rfind('$')));
}

/// What each connection's first trip asks, and a server alone answers.
bool is_greeting(std::string_view request) { return request.find("SLOTS") != request.npos; }
const std::string kGreeting = kAlone + kPrimary;

/// A server that answers the trips after the first with these: "#" is the ECHO.
RawServer::Answer answering(std::vector<std::string> answers) {
  return [answers = std::move(answers), next = std::size_t{0}](std::string_view request) mutable {
    std::string answer = is_greeting(request) ? kGreeting + "#" : answers.at(next++);
    if (const std::size_t at = answer.find('#'); at != answer.npos)
      answer.replace(at, 1, echo_of(request));
    return answer;
  };
}

Error error_of_list(const std::string& first, const std::string& more) {
  const RawServer server(answering({first + more}));
  return thrown_by([&] { open_at(server)->list(""); });
}

TEST(RedisReplies, OfAnotherTripAreNotBelieved) {
  const std::string a = "$1\r\na\r\n", none = "$-1\r\n", first = "$1\r\n2\r\n";
  for (const auto& [answers, code] : std::vector<std::pair<std::vector<std::string>, Code>>{
           {{a + "#" + a + first, a + "#"}, Code::unavailable},     // all of it came twice,
           {{a + "#" + first, a + "#"}, Code::unavailable},         // its end,
           {{a + "#" + "$100\r\n", a + "#"}, Code::unavailable},    // or what never ends
           {{a + "#", a + first + a + "#"}, Code::unavailable},     // later than the next request
           {{a + "#", none + first + a + "#"}, Code::unavailable},  // that nothing is there
           {{a + "#", "-1\r\n" + a + "#"}, Code::unavailable},      // the tail of that: no error
           {{a + "#", ":1\r\n" + a + "#"}, Code::unavailable},      // of another kind
           {{a + "#", a + a + "#"}, Code::unavailable},             // within the trip
           {{a + "#", "-ERR no\r\n#"}, Code::internal},
           {{a + "#", "-LOADING data\r\n-LOADING data\r\n"}, Code::unavailable}}) {
    const RawServer server(answering(answers));
    const auto store = open_at(server);
    EXPECT_EQ(store->load("one")->text(), "a");
    const Error error = thrown_by([&] { store->load("two"); });
    EXPECT_EQ(error.code(), code) << answers[0] << answers[1] << error.what();
    EXPECT_THAT(error.what(), Not(HasSubstr("nothing was thrown"))) << answers[0] << answers[1];
  }
}

TEST(RedisTrips, OneSavesAndRemoves) {
  int trips = 0;
  auto answer = answering({"+OK\r\n:0\r\n:1\r\n:0\r\n#"});
  const RawServer server([&](std::string_view request) {
    trips += is_greeting(request) ? 0 : 1;
    return answer(request);
  });
  const Item item{"new", as_bytes("1")};
  open_at(server)->save_and_remove({&item, 1}, std::vector<std::string>{"old", "older"});
  EXPECT_EQ(trips, 1);
}

TEST(RedisReplies, OfOneCommandTooManyGiveNoValues) {
  const std::string a = "$1\r\na\r\n", b = "$1\r\nb\r\n";
  const std::vector<std::string> keys = {"a", "b"};
  const RawServer server(answering({a + a + b + "#", a + b + "#", a + a + b + "#", a + b + "#"}));
  const auto store = open_at(server);
  EXPECT_EQ(thrown_by([&] { store->load_present(keys); }).code(), Code::unavailable);
  EXPECT_EQ(store->load_present(keys)[1]->text(), "b");
  const auto watch = store->watch(keys);
  EXPECT_EQ(thrown_by([&] { watch->next(Deadline::in(0), 2); }).code(), Code::unavailable);
  const std::vector<Arrival> arrivals = watch->poll_all();
  ASSERT_EQ(arrivals.size(), 2U);
  EXPECT_EQ(arrivals[1].value.text(), "b");
}

TEST(RedisReplies, ForWhomMayNotEchoAreCounted) {
  const RawServer server([](std::string_view request) -> std::string {
    const std::string refusal = "-NOPERM this user has no permissions to run 'echo'\r\n";
    return (is_greeting(request) ? refusal + refusal : "$1\r\na\r\n") + refusal;
  });
  const auto store = open_at(server);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(store->load("key")->text(), "a");
}

TEST(RedisReplies, OfAReadOnlyReplicaNameTheRemedyAndEndSoon) {
  const std::string refusal = "-READONLY You can't write against a read only replica.\r\n";
  for (const bool was_primary : {false, true}) {
    ManualClock clock;
    std::atomic<bool> refuses = !was_primary;
    const RawServer server([&](std::string_view request) -> std::string {
      if (is_greeting(request)) return kGreeting + echo_of(request);
      return (refuses ? refusal : "+OK\r\n") + (refuses ? refusal : ":0\r\n") + echo_of(request);
    });
    const auto store = open_at(server);
    const ClockReplacement replacement(clock);
    if (was_primary) store->save("key", as_bytes("value"));
    refuses = true;
    for (const auto& [later_s, code] :
         {std::pair(0.0, Code::unavailable), std::pair(4.9, Code::unavailable),
          std::pair(0.2, was_primary ? Code::unavailable : Code::permission_denied)}) {
      clock.advance(later_s);
      for (const auto& call :
           std::vector<std::function<void()>>{[&] { store->save("key", as_bytes("value")); },
                                              [&] { store->create("key", as_bytes("value")); }}) {
        const Error error = thrown_by(call);
        EXPECT_EQ(error.code(), code) << error.what();
        EXPECT_THAT(error.what(), HasSubstr("name the primary's address"));
      }
    }
  }
}

TEST(RedisReplies, OfAReadOnlyReplicaAreWaitedForBeforeAnyOtherAnswer) {
  const std::string refusal = "-READONLY You can't write against a read only replica.\r\n";
  const RawServer server([&](std::string_view request) -> std::string {
    return (is_greeting(request) ? kGreeting : refusal + refusal) + echo_of(request);
  });
  ManualClock clock;
  const ClockReplacement replacement(clock);
  const auto store = open(Uri::parse(fmt::format("redis://127.0.0.1:{}", server.port())));
  const Error error = thrown_by([&] { store->save("key", as_bytes("value")); });
  EXPECT_EQ(error.code(), Code::permission_denied) << error.what();
  EXPECT_THAT(error.what(), HasSubstr("name the primary's address"));
  EXPECT_GE(clock.seconds(), 5);
}

TEST(RedisReplies, OfUsersWithoutChannelsMakeWaitsPoll) {
  std::atomic<int> gets = 0, subscribes = 0, publishes = 0;
  const std::string refusal = "-NOPERM this user has no permissions\r\n";
  const RawServer server(commanded([&](std::string_view command, std::string_view) -> std::string {
    if (command == "CLUSTER") return refusal;
    if (command == "SET") return "+OK\r\n";
    publishes += command == "PUBLISH";
    subscribes += command == "SUBSCRIBE";
    if (command != "GET") return refusal;
    return ++gets % 5 == 0 ? "$1\r\na\r\n" : "$-1\r\n";
  }));
  const auto store = open_at(server);
  EXPECT_EQ(store->load_or_wait("key", Deadline::in(20)).text(), "a");
  EXPECT_EQ(store->load_or_wait("key", Deadline::in(20)).text(), "a");
  EXPECT_EQ(gets, 10);
  EXPECT_EQ(subscribes, 1);
  store->save("key", {});
  EXPECT_EQ(publishes, 0);
  const auto writer = open_at(server);
  writer->save("key", {});
  writer->save("key", {});
  EXPECT_EQ(publishes, 1);
}

TEST(RedisReplies, HaveAnEnd) {
  const std::string page = "*2\r\n$1\r\n0\r\n";
  const std::string text(1000, 'x');
  for (const auto& [first, forever] :
       {std::pair(page + "*1000000\r\n", "$1000\r\n" + text + "\r\n"),
        std::pair(page + "*1\r\n$1000000000\r\n", text), std::pair(std::string("+"), text)}) {
    std::string more;
    while (more.size() < (5 << 20)) more += forever;
    const Error error = error_of_list(first, more);
    EXPECT_EQ(error.code(), Code::internal) << first;
    EXPECT_THAT(error.what(), HasSubstr("longer than any")) << first;
  }
  EXPECT_EQ(error_of_list(page + "*2000000000\r\n", text).code(), Code::resource_exhausted);
  EXPECT_EQ(error_of_list("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "*1\r\n").code(),
            Code::unavailable);
}

}  // namespace
}  // namespace lambdaml::storage::redis
