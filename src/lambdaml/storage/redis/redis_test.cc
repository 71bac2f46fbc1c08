#include <atomic>
#include <functional>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/manual_clock.h"
#include "lambdaml/storage/redis/address.h"
#include "lambdaml/storage/redis/iam.h"
#include "lambdaml/storage/redis/protocol.h"
#include "lambdaml/storage/redis/slots.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/testing/raw_server.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage::redis {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Address parsed(std::string_view uri, const char* password = nullptr) {
  return address_of(Uri::parse(uri), password);
}

TEST(RedisAddress, HasDefaults) {
  const Address address = parsed("redis://cache");
  EXPECT_EQ(address.server, (Endpoint{"cache", 6379}));
  EXPECT_FALSE(address.tls);
  EXPECT_EQ(address.ttl_s, 0);
  EXPECT_EQ(address.database, 0);
  EXPECT_EQ(address.user + address.password + address.prefix, "");
}

TEST(RedisAddress, TheFirstNumberInThePathIsTheDatabase) {
  EXPECT_EQ(parsed("redis://h/3").database, 3);
  EXPECT_EQ(parsed("redis://h/3").prefix, "");
  EXPECT_EQ(parsed("redis://h/3/a/b").database, 3);
  EXPECT_EQ(parsed("redis://h/3/a/b").prefix, "a/b");
  EXPECT_EQ(parsed("redis://h/3/4").prefix, "4");
  EXPECT_EQ(parsed("redis://h/a/3").database, 0);
  EXPECT_EQ(parsed("redis://h/a/3").prefix, "a/3");
  EXPECT_EQ(parsed("redis://h/3a").prefix, "3a");
  EXPECT_THROW(parsed("redis://h/99999999999999999999"), Error);
  EXPECT_THROW(parsed("redis://h/2147483648"), Error);
}

TEST(RedisAddress, UserAndPasswordAreDecoded) {
  const Address both = parsed("redis://ann:p%40ss%2Fw%3ard%zz%4@h:1234");
  EXPECT_EQ(both.user, "ann");
  EXPECT_EQ(both.password, "p@ss/w:rd%zz%4");
  EXPECT_EQ(both.server, (Endpoint{"h", 1234}));
  EXPECT_EQ(parsed("redis://:secret@h").user, "");
  EXPECT_EQ(parsed("redis://:secret@h").password, "secret");
  EXPECT_EQ(parsed("redis://:a@b@h").password, "a@b");
  EXPECT_EQ(parsed("redis://:s:t@h").password, "s:t");
}

TEST(RedisAddress, ThePasswordOfTheEnvironmentIsForUrisWithoutOne) {
  EXPECT_EQ(parsed("redis://h", "env").password, "env");
  EXPECT_EQ(parsed("redis://ann@h", "env").user, "ann");
  EXPECT_EQ(parsed("redis://ann@h", "env").password, "env");
  EXPECT_EQ(parsed("redis://:own@h", "env").password, "own");
}

TEST(RedisAddress, TheEndpointShowsNoSecrets) {
  EXPECT_EQ(parsed("redis://ann:secret@h/2/p").endpoint(), "redis://h:6379/2");
  EXPECT_EQ(parsed("redis://[::1]:7000/2").endpoint(), "redis://[::1]:7000/2");
  EXPECT_EQ(parsed("redis://[::1]:7000/2").server.host, "::1");
  EXPECT_THAT(open("redis://ann:secret@h/2/p")->describe(), Not(HasSubstr("secret")));
}

TEST(RedisAddress, OfTlsHasTheSameParts) {
  const Address address = parsed("rediss://ann:secret@h:1234/2/p?ttl=3600");
  EXPECT_TRUE(address.tls);
  EXPECT_EQ(address.endpoint(), "rediss://h:1234/2");
  EXPECT_EQ(address.prefix, "p");
  EXPECT_EQ(address.ttl_s, 3600);
  EXPECT_EQ(parsed("redis://h?ttl=5").ttl_s, 5);
  try {
    parsed("rediss://h?ca=/no/such/ca.pem");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("/no/such/ca.pem: No such file"));
  }
  EXPECT_THROW(parsed("redis://h?ca=/etc/passwd"), Error);
  EXPECT_THROW(parsed("redis://h?ttl=-1"), Error);
}

TEST(RedisAddress, MayLogInByTheIdentityService) {
  const Address address = parsed("rediss://ann@h?iam=serverless:My-Cache", "unused");
  EXPECT_EQ(address.iam, "serverless:My-Cache");
  EXPECT_EQ(address.password, "");
  for (const char* uri : {"rediss://h?iam=cache:c", "rediss://ann:pw@h?iam=cache:c",
                          "rediss://ann@h?iam=other:c", "redis://ann@h?iam=cache:c"})
    EXPECT_THROW(parsed(uri), Error) << uri;
}

// The signatures are those of botocore 1.43 (SigV4QueryAuth) for the same request.
TEST(RedisIam, TokensAreThoseOfBotocore) {
  const aws::Credentials keys{"AKIDEXAMPLE", "SECRETEXAMPLE", "TOKEN/+="};
  const WallTime now{std::chrono::seconds(1'369'353'600)};
  const std::string token =
      iam_token(parsed("rediss://ann@h?iam=serverless:My-Cache"), keys, "us-east-1", now);
  EXPECT_THAT(token, testing::StartsWith(
                         "my-cache/?Action=connect&ResourceType=ServerlessCache&User=ann&X-Amz-"));
  EXPECT_THAT(token,
              testing::EndsWith("&X-Amz-Signature=8be7b5adc4ee660a9a53a8892e0bd396ed11e0a674e6"
                                "eec2c94bffbbff0f7337"));
  EXPECT_THAT(
      iam_token(parsed("rediss://ann@h?iam=memorydb:c"), {"AKIDEXAMPLE", "SECRETEXAMPLE", ""},
                "eu-west-1", now),
      testing::EndsWith("&X-Amz-Signature=e58cc37d35936017dfc77591dc0d924484c8f21043c4d6d55de362d"
                        "ad19957e3"));
}

TEST(RedisAddress, RefusesWhatItDoesNotKnow) {
  for (const char* uri : {"redis://", "redis://:pw@", "redis://h/0?timeout=1"}) {
    try {
      parsed(uri);
      ADD_FAILURE() << uri;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_THAT(error.what(), Not(HasSubstr("pw")));
    }
  }
}

std::string bytes_of(const Request& request) {
  std::string out;
  for (const iovec& piece : request.pieces())
    out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  return out;
}

TEST(RedisRequest, IsWrittenAsTheProtocolWantsIt) {
  Request request;
  request.add({"GET", "a b"});
  request.add({"SET", "k", std::string_view("\0\r\n", 3)});
  using std::string_literals::operator""s;
  EXPECT_EQ(bytes_of(request),
            "*2\r\n$3\r\nGET\r\n$3\r\na b\r\n"
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\0\r\n\r\n"s);
  EXPECT_EQ(request.pieces().size(), 1U);
}

TEST(RedisRequest, DoesNotCopyLongArguments) {
  const std::string value(100'000, 'v');
  Request request;
  request.add({"SET", "k", value});
  request.add({"SET", "l", value, "NX"});
  const std::string head = "$3\r\nSET\r\n$1\r\n";
  EXPECT_EQ(bytes_of(request), "*3\r\n" + head + "k\r\n$100000\r\n" + value + "\r\n*4\r\n" + head +
                                   "l\r\n$100000\r\n" + value + "\r\n$2\r\nNX\r\n");
  ASSERT_EQ(request.pieces().size(), 5U);
  EXPECT_EQ(request.pieces()[1].iov_base, value.data());
  EXPECT_EQ(request.pieces()[3].iov_base, value.data());
}

TEST(RedisReplies, ErrorsBeginWithAWordInCapitals) {
  for (const char* error : {"ERR no", "WRONGTYPE", "NOAUTH Authentication required."})
    EXPECT_TRUE(is_error_reply(error)) << error;
  for (const char* other : {"", "1", "-1", "E", "Err no", "OK\r", " ERR"})
    EXPECT_FALSE(is_error_reply(other)) << other;
}

TEST(RedisReplies, ErrorsHaveCodes) {
  EXPECT_EQ(code_of_reply("NOAUTH Authentication required."), Code::permission_denied);
  EXPECT_EQ(code_of_reply("WRONGPASS invalid"), Code::permission_denied);
  EXPECT_EQ(code_of_reply("NOPERM this user"), Code::permission_denied);
  EXPECT_EQ(code_of_reply("OOM command not allowed"), Code::resource_exhausted);
  for (const char* word : {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "READONLY"})
    EXPECT_EQ(code_of_reply(word), Code::unavailable);
  EXPECT_EQ(code_of_reply("ERR max number of clients reached"), Code::unavailable);
  EXPECT_EQ(code_of_reply("OOMPH"), Code::internal);
  EXPECT_EQ(code_of_reply(""), Code::internal);
}

TEST(RedisPatterns, EscapeWhatMeansSomething) {
  EXPECT_EQ(glob_escaped("a/b.c"), "a/b.c");
  EXPECT_EQ(glob_escaped("a*?[x-y^]\\"), "a\\*\\?\\[x\\-y\\^\\]\\\\");
}

TEST(RedisChannels, AreThoseOfTheFolder) {
  EXPECT_EQ(channel_of(0, "job/v/12-3"), "lambdaml:0:job/v");
  EXPECT_EQ(channel_of(0, "job/v/13-1"), channel_of(0, "job/v/12-3"));
  EXPECT_NE(channel_of(1, "job/v/12-3"), channel_of(0, "job/v/12-3"));
  EXPECT_EQ(channel_of(2, "key"), "lambdaml:2:");
  // A sharded one is in the slot of its tag, whatever the folder's name.
  EXPECT_EQ(channel_of(0, "{job}/v/12-3", "42"), "lambdaml:{42}:0:{job}/v");
  EXPECT_EQ(slot_of(channel_of(0, "{job}/v/12-3", "42")), slot_of("42"));
}

TEST(RedisSlots, AreThoseOfTheSpecification) {
  EXPECT_EQ(slot_of("123456789"), 0x31c3);  // the specification's check of CRC-16
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of("bar"), 5061);
  EXPECT_EQ(slot_of("hello"), 866);
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of("a{bar}{zap}"), slot_of("bar"));
  EXPECT_EQ(slot_of("a{{bar}}zap"), slot_of("{bar"));
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
  EXPECT_NE(slot_of("foo{bar"), slot_of("bar"));
}

TEST(RedisSlots, RedirectionsAreRead) {
  const auto moved = redirection_in("MOVED 3999 127.0.0.1:6381");
  ASSERT_TRUE(moved);
  EXPECT_FALSE(moved->ask);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->target, (Endpoint{"127.0.0.1", 6381}));
  EXPECT_TRUE(redirection_in("ASK 1 ::1:7000")->ask);
  EXPECT_EQ(redirection_in("ASK 1 ::1:7000")->target, (Endpoint{"::1", 7000}));
  EXPECT_EQ(redirection_in("MOVED 1 :7000")->target, (Endpoint{"", 7000}));
  for (const char* other : {"ERR no", "MOVED", "MOVED 1", "MOVED x h:1", "MOVED 16384 h:1",
                            "MOVED 1 h:0", "MOVED 1 h:65536", "MOVED 1 h", "ASKING"})
    EXPECT_FALSE(redirection_in(other)) << other;
}

Reply number(std::int64_t n) {
  Reply reply;
  reply.kind = Reply::Kind::integer;
  reply.integer = n;
  return reply;
}
Reply text(std::string of) {
  Reply reply;
  reply.kind = Reply::Kind::text;
  reply.text = std::move(of);
  return reply;
}
Reply list(std::vector<Reply> of) {
  Reply reply;
  reply.kind = Reply::Kind::list;
  reply.list = std::move(of);
  return reply;
}

TEST(RedisSlots, ATableNamesThePrimaries) {
  const Reply one = list({text("one"), number(1), text("id"), list({})});
  const Reply nameless = list({Reply(), number(2), text("id")});
  const SlotTable table = slot_table_of(
      list({list({number(0), number(9), one, nameless}), list({number(10), number(10), nameless}),
            list({number(20), number(20), one})}),
      "asked");
  EXPECT_THAT(table.primaries, testing::ElementsAre(Endpoint{"one", 1}, Endpoint{"asked", 2}));
  EXPECT_EQ(table.owner[9], 0);
  EXPECT_EQ(table.owner[10], 1);
  EXPECT_EQ(table.owner[20], 0);
  EXPECT_EQ(table.owner[11], SlotTable::kNobody);
  for (const Reply& strange :
       {text("OK"), list({number(1)}), list({list({number(0), number(16384), one})}),
        list({list({number(0), number(1), list({})})}),
        list({list({number(0), number(1), list({text("h"), number(70000)})})})})
    EXPECT_THROW(slot_table_of(strange, "asked"), Error);
}

std::shared_ptr<Storage> open_at(const RawServer& server) {
  return open_plain(Uri::parse(fmt::format("redis://127.0.0.1:{}", server.port())));
}

/// The reply to the ECHO at the end of a trip.
std::string echo_of(std::string_view request) {
  return std::string(request.substr(request.rfind('$')));
}

/// What each connection's first trip asks, and a server alone answers.
bool is_greeting(std::string_view request) { return request.find("SLOTS") != request.npos; }
const std::string kAlone = "-ERR This instance has cluster support disabled\r\n";
const std::string kPrimary = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
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

template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::internal, "nothing was thrown");
}

Error error_of_list(const std::string& first, const std::string& more) {
  const RawServer server(answering({first + more}));
  return error_of([&] { open_at(server)->list(""); });
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
    const Error error = error_of([&] { store->load("two"); });
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
  EXPECT_EQ(error_of([&] { store->load_present(keys); }).code(), Code::unavailable);
  EXPECT_EQ(store->load_present(keys)[1]->text(), "b");
  const auto watch = store->watch(keys);
  EXPECT_EQ(error_of([&] { watch->next(Deadline::in(0), 2); }).code(), Code::unavailable);
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
        const Error error = error_of(call);
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
  const Error error = error_of([&] { store->save("key", as_bytes("value")); });
  EXPECT_EQ(error.code(), Code::permission_denied) << error.what();
  EXPECT_THAT(error.what(), HasSubstr("name the primary's address"));
  EXPECT_GE(clock.seconds(), 5);
}

// ---- several servers ----

std::string bulk(std::string_view text) { return fmt::format("${}\r\n{}\r\n", text.size(), text); }

/// What CLUSTER SLOTS says if one server has all slots.
std::string all_slots_at(int port) {
  return fmt::format("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n{}:{}\r\n", bulk("127.0.0.1"), port);
}

/// Answers each command of a trip by its first word and key; ECHO as it has to be.
RawServer::Answer commanded(
    std::function<std::string(std::string_view, std::string_view)> answer,
    std::function<std::string()> role = [] { return kPrimary; }) {
  return [answer = std::move(answer), role = std::move(role)](std::string_view request) {
    std::string out;
    while (request.starts_with('*')) {
      std::vector<std::string> words(std::stoul(std::string(request.substr(1))));
      for (std::string& word : words) {
        request.remove_prefix(request.find('$') + 1);
        const std::size_t size = std::stoul(std::string(request));
        request.remove_prefix(request.find('\n') + 1);
        word = request.substr(0, size);
        request.remove_prefix(size + 2);
      }
      if (words[0] == "COMMAND")
        out += "*1\r\n*-1\r\n";  // it has no sharded channels
      else if (words[0] == "ROLE")
        out += role();
      else
        out += words[0] == "ECHO" ? bulk(words[1]) : answer(words[0], words.back());
    }
    return out;
  };
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
  EXPECT_EQ(error_of([&] { open_at(server)->load("a"); }).code(), Code::unavailable);
  const RawServer empty(commanded([](std::string_view, std::string_view) { return "*0\r\n"; }));
  const Error error = error_of([&] { open_at(empty)->load("foo"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("no server of the cluster has slot 12182"));
  // What lies in such slots is not known to be absent.
  for (const auto& call : {std::function<void()>([&] { open_at(empty)->list(""); }),
                           std::function<void()>([&] { open_at(empty)->clear(""); })})
    EXPECT_THAT(error_of(call).what(), HasSubstr("no server of the cluster has slot 0"));
  const RawServer down(commanded([&](std::string_view command, std::string_view) -> std::string {
    if (command == "CLUSTER") return all_slots_at(down.port());
    return "-CLUSTERDOWN Hash slot not served\r\n";
  }));
  EXPECT_THAT(error_of([&] { open_at(down)->load("a"); }).what(),
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
  EXPECT_EQ(error_of([&] { store->load("a"); }).code(), Code::unavailable);
  is_owned = true;
  EXPECT_EQ(store->load("a")->text(), "x");
}

TEST(RedisCluster, HasOneDatabase) {
  const RawServer server(commanded([&](std::string_view command, std::string_view) -> std::string {
    return command == "SELECT" ? "-ERR SELECT is not allowed in cluster mode\r\n" : "*0\r\n";
  }));
  const auto store = open_plain(Uri::parse(fmt::format("redis://127.0.0.1:{}/3", server.port())));
  const Error error = error_of([&] { store->load("a"); });
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
  EXPECT_THAT(error_of([&] { plain->save("key", {}); }).what(), HasSubstr("LOADING"));
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
