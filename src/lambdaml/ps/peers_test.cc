// Connections that take and give nothing: half-open, slow, guessing, unfinished. Each time a good
// client is served at once, and the server's memory stays within its limit.
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/ps/testing/raw_client.h"
#include "lambdaml/ps/testing/test_support.h"

namespace lambdaml::ps {
namespace {

using testing::HasSubstr;
using Ending = RawClient::Outcome::Kind;

/// With room for a loaded machine; a good client that was locked out would wait for much longer.
constexpr double kSoon_s = 5;

/// Seconds until a new client has been let in and was answered.
double seconds_to_serve(const Address& address) {
  const Stopwatch clock;
  Client(address).ping();
  return clock.seconds();
}

/// What a client begins that means to send a vector of so many bytes.
std::string beginning_of_a_push(std::uint32_t bytes) {
  return Wire::call("push_pull")
      .field(Wire::kStruct, 1)
      .field(Wire::kString, 1)
      .text("unfinished")
      .field(Wire::kI64, 11)
      .i64(bytes / 4)
      .field(Wire::kString, 9)
      .i32(bytes)
      .bytes();
}

std::string metric(const Server& server, const std::string& name) {
  const RawClient client(static_cast<std::uint16_t>(server.metrics_port()));
  client.say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string page = client.hear(1 << 20);
  const std::size_t at = page.find("\n" + name + " ");
  if (at == std::string::npos) fail(Code::internal, "no {} in: {}", name, page);
  const std::size_t begin = at + name.size() + 2;
  return page.substr(begin, page.find('\n', begin) - begin);
}

TEST(Crowds, HalfOpenConnectionsMakeRoomForOthers) {
  for (const bool with_token : {false, true}) {
    ServerSettings settings = on_a_free_port();
    settings.connections = 40;
    if (with_token) settings.token = "open sesame";
    const Server server(settings);
    Address address = address_of(server);
    address.token = settings.token;
    Client known(address);
    known.ping();
    std::vector<RawClient> crowd;
    for (int i = 0; i < 200; ++i) {
      crowd.emplace_back(server.port());
      crowd.back().say(i % 2 == 0 ? "\x80\x01" : "");
    }
    for (int i = 0; i < 5; ++i) EXPECT_LT(seconds_to_serve(address), kSoon_s) << with_token;
    known.ping();  // those that are known stay
  }
}

TEST(Crowds, AreOfALimitedNumberThatTheServerDoesNotKnow) {
  ServerSettings settings = on_a_free_port();
  settings.token = "open sesame";
  settings.metrics_port = 0;
  const Server server(settings);
  Address address = address_of(server);
  address.token = settings.token;
  std::vector<RawClient> crowd;
  for (int i = 0; i < 500; ++i) {
    crowd.emplace_back(server.port());
    crowd.back().say("\x80\x01");
  }
  EXPECT_LT(seconds_to_serve(address), kSoon_s);
  // Those that are too many are ended soon after they come.
  const auto connections = [&] { return std::stoi(metric(server, "lambdaml_ps_connections")); };
  const Stopwatch clock;
  while (connections() > 260 && clock.seconds() < 20)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_LE(connections(), 260);
}

TEST(Crowds, OfGoodClientsAllComeIn) {
  constexpr std::uint32_t kClients = 400;
  ServerSettings settings = on_a_free_port();
  settings.token = "open sesame";
  const Server server(settings);
  Address address = address_of(server);
  address.token = settings.token;
  on_threads(kClients, [&](std::uint32_t) { Client(address).ping(); });
}

TEST(Strangers, HaveSomeSecondsToSayTheToken) {
  ServerSettings settings = on_a_free_port();
  settings.token = "open sesame";
  settings.patience.greeting_s = 0.3;
  const Server server(settings);
  Address address = address_of(server);
  address.token = settings.token;
  Client known(address);
  const RawClient silent(server.port());
  const RawClient drips(server.port());
  const Stopwatch clock;
  std::thread drip([&] {
    const std::string hello =
        Wire::call("hello").field(Wire::kString, 1).text(std::string(9000, 'x')).bytes();
    for (const char c : hello) {
      if (!drips.say({&c, 1})) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  EXPECT_TRUE(silent.is_cut());
  drip.join();
  EXPECT_TRUE(drips.is_cut());
  EXPECT_GE(clock.seconds(), settings.patience.greeting_s);
  EXPECT_LT(clock.seconds(), 20);
  known.ping();
}

TEST(Strangers, SendLittleAndAreToldWhatIsWanted) {
  ServerSettings settings = on_a_free_port();
  settings.token = "open sesame";
  const Server server(settings);
  {
    const RawClient client(server.port());
    client.say(Wire::call("exist_model").field(Wire::kString, 1).text("m").stop());
    const RawClient::Outcome refused = client.outcome();
    EXPECT_EQ(refused.kind, Ending::refused);
    EXPECT_EQ(refused.code, "permission_denied");
    EXPECT_THAT(refused.why, HasSubstr("LAMBDAML_PS_TOKEN"));
    // The connection is good for the token.
    client.say(Wire::call("hello").field(Wire::kString, 1).text("open sesame").stop());
    EXPECT_EQ(client.outcome().kind, Ending::answered);
  }
  // 20 MB of anything are more than a greeting.
  const std::string megabyte(1 << 20, 'x');
  for (const std::string& beginning :
       {beginning_of_a_push(20 << 20),
        Wire::call("put")
            .field(Wire::kString, 1)
            .text("key")
            .field(Wire::kString, 2)
            .i32(20 << 20)
            .bytes(),
        Wire::call("push_grad")
            .field(Wire::kStruct, 1)
            .field(Wire::kList, 4)
            .list(Wire::kDouble, 5 << 20)
            .bytes(),
        Wire::call("remove").field(Wire::kList, 1).list(Wire::kString, 60'000).bytes(),
        Wire::call("hello").field(Wire::kString, 1).i32(60'000).bytes()}) {
    const RawClient client(server.port());
    client.say(beginning);
    bool takes = true;
    for (int i = 0; i < 20 && takes; ++i) takes = client.say(megabyte);
    EXPECT_FALSE(takes) << "20 MB before the token";
    EXPECT_TRUE(client.is_cut());
  }
}

TEST(Guesses, AreSlowedDownAndGoodClientsLetIn) {
  constexpr std::uint32_t kGuessers = 8;
  constexpr double kSeconds = 3;
  ServerSettings settings = on_a_free_port();
  settings.token = "open sesame";
  const Server server(settings);
  Address address = address_of(server);
  address.token = settings.token;
  std::atomic<int> answers = 0;
  std::atomic<double> slowest = 0;
  on_threads(kGuessers + 1, [&](std::uint32_t i) {
    const Deadline end = Deadline::in(kSeconds);
    while (!end.passed()) {
      if (i == kGuessers) {
        slowest = std::max(slowest.load(), seconds_to_serve(address));
        continue;
      }
      const RawClient client(server.port());
      client.say(Wire::call("hello").field(Wire::kString, 1).text("open barley").stop());
      if (client.outcome().kind == Ending::refused) ++answers;
      // A guess costs the connection.
      EXPECT_TRUE(client.is_cut());
    }
  });
  // Half a second each, and some that were free.
  EXPECT_LE(answers, static_cast<int>(kGuessers * (kSeconds / 0.5 + 1)) + 5 + 8);
  EXPECT_GE(answers, 8);
  EXPECT_LT(slowest, kSoon_s);
}

TEST(Slow, RequestsAreEndedAndIdleConnectionsAreNot) {
  ServerSettings settings = on_a_free_port();
  settings.patience.request_s = 0.4;
  const Server server(settings);
  Client idle(address_of(server));
  idle.put("large", Buffer(5'000'000));
  const RawClient silent(server.port());  // says nothing yet, which is no request
  const RawClient stops(server.port());
  stops.say(beginning_of_a_push(10'000'000) + std::string(1'000'000, 'x'));
  const RawClient half(server.port());
  half.say("\x80\x01");
  const RawClient drips(server.port());
  drips.say(beginning_of_a_push(10'000'000));
  std::atomic<bool> ended = false;
  std::thread drip([&] {
    while (drips.say("x")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ended = true;
  });
  // 400 KB a second are enough.
  const RawClient steady(server.port());
  const std::string push = beginning_of_a_push(1'200'000);
  steady.say(push);
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(steady.say(std::string(20'000, '\0')));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  steady.say(Wire().stop().stop());
  EXPECT_EQ(steady.outcome().kind, Ending::answered);
  EXPECT_TRUE(stops.is_cut());
  EXPECT_TRUE(half.is_cut());
  drip.join();
  EXPECT_TRUE(ended);
  idle.ping();
  silent.say(Wire::call("ping").stop());
  EXPECT_EQ(silent.outcome().kind, Ending::answered);
}

TEST(Slow, ReadersAreEnded) {
  ServerSettings settings = on_a_free_port();
  settings.patience.answer_s = 0.4;
  settings.metrics_port = 0;
  const Server server(settings);
  Client client(address_of(server));
  constexpr std::size_t kBytes = 40'000'000;
  client.put("large", Buffer(kBytes));
  const std::string get = Wire::call("get").field(Wire::kString, 1).text("large").stop().bytes();
  const RawClient deaf(server.port());
  deaf.say(get);
  const RawClient drips(server.port());
  drips.say(get);
  const Deadline patience = Deadline::in(20);
  while (metric(server, "lambdaml_ps_dropped_total") != "2" && !patience.passed())
    drips.hear(100, 0.02);
  EXPECT_EQ(metric(server, "lambdaml_ps_dropped_total"), "2");
  while (metric(server, "lambdaml_ps_connections") != "1" && !patience.passed())
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(metric(server, "lambdaml_ps_connections"), "1");
  EXPECT_LT(deaf.hear(kBytes + 100).size(), kBytes);
  // A machine that does other work can make a good client slow too: it is ended, and asks again.
  std::optional<Buffer> whole;
  for (int tries = 0; tries < 10 && !whole; ++tries) {
    try {
      whole = Client(address_of(server)).get("large");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::unavailable) << error.what();
    }
  }
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->size(), kBytes);
}

TEST(Memory, UnfinishedUploadsGiveWayToOthers) {
  constexpr std::uint64_t kLimit = 64'000'000;
  ServerSettings settings = on_a_free_port();
  settings.memory_bytes = kLimit;
  settings.metrics_port = 0;
  const Server server(settings);
  std::vector<RawClient> crowd;
  const std::string sent(10'000'000, 'x');
  for (int i = 0; i < 12; ++i) {
    crowd.emplace_back(server.port());
    crowd.back().say(beginning_of_a_push(60'000'000) + sent, 2);
  }
  EXPECT_LE(std::stoull(metric(server, "lambdaml_ps_memory_bytes")), kLimit);
  // Half of the memory, which the stalled clients hold, is freed for a client that continues.
  Client client(address_of(server));
  const std::vector<float> values(kLimit / 2 / sizeof(float) / 2, 1.0F);
  const Stopwatch clock;
  EXPECT_EQ(exchange(client, {.id = "job/rounds", .workers = 1}, values).values, values);
  EXPECT_LT(clock.seconds(), kSoon_s);
  EXPECT_NE(metric(server, "lambdaml_ps_dropped_total"), "0");
}

TEST(Memory, AnUploadForWhichThereIsNoneIsReadToItsEndAndRefused) {
  ServerSettings settings = on_a_free_port();
  settings.memory_bytes = 10'000'000;
  const Server server(settings);
  Client client(address_of(server));
  client.put("kept", Buffer(8'000'000));
  std::string why;
  const std::vector<float> values(1'500'000, 1.0F);
  EXPECT_EQ(code_thrown_by([&] { exchange(client, {.id = "r", .workers = 1}, values); }, &why),
            Code::resource_exhausted);
  EXPECT_THAT(why, HasSubstr("--memory-mb"));
  EXPECT_EQ(code_thrown_by([&] { client.put("more", Buffer(3'000'000)); }),
            Code::resource_exhausted);
  client.ping();  // over the same connection
  // Nothing of them has stayed.
  client.put("more", Buffer(1'900'000));
}

TEST(Metrics, AreServedBesideThoseWhoOnlyConnect) {
  ServerSettings settings = on_a_free_port();
  settings.metrics_port = 0;
  const Server server(settings);
  const auto port = static_cast<std::uint16_t>(server.metrics_port());
  std::vector<RawClient> crowd;
  for (int i = 0; i < 300; ++i) {
    crowd.emplace_back(port);
    crowd.back().say(i % 2 == 0 ? "GE" : "");
  }
  const Stopwatch clock;
  EXPECT_EQ(metric(server, "lambdaml_ps_models"), "0");
  EXPECT_LT(clock.seconds(), kSoon_s);
  EXPECT_TRUE(crowd.front().is_cut());  // the oldest
  EXPECT_TRUE(crowd.back().is_cut());   // after some seconds
  const RawClient talks(port);
  bool takes = talks.say("GET /metrics HTTP/1.1\r\n");
  for (int i = 0; i < 10'000 && takes; ++i)
    takes = talks.say("X: " + std::string(1000, 'x') + "\r\n");
  EXPECT_FALSE(takes) << "10 MB of a head";
  for (const char* strange :
       {"\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n123456789",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /metrics HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"}) {
    const RawClient client(port);
    client.say(strange);
    EXPECT_THAT(client.hear(1 << 20), testing::Not(HasSubstr("lambdaml_ps"))) << strange;
  }
  EXPECT_EQ(metric(server, "lambdaml_ps_models"), "0");
}

TEST(Endings, OfAServerDoNotWaitForSlowPeers) {
  auto server = std::make_unique<Server>(on_a_free_port());
  Client client(address_of(*server));
  client.put("large", Buffer(40'000'000));
  const RawClient deaf(server->port());
  deaf.say(Wire::call("get").field(Wire::kString, 1).text("large").stop());
  const RawClient half(server->port());
  half.say("\x80\x01");
  deaf.hear(1);  // the answer is under way
  const Stopwatch clock;
  server.reset();
  EXPECT_LT(clock.seconds(), 10);
}

/// A server with a valid greeting whose next answer is set by the test.
class FalseServer {
 public:
  explicit FalseServer(std::string answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&where), size) != 0 ||
        ::listen(listener_, 1) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size) != 0)
      fail(Code::internal, "no listener");
    address.host = "127.0.0.1";
    address.port = ntohs(where.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FalseServer() {
    thread_.join();
    ::close(listener_);
  }
  static Wire reply(std::string_view name) { return Wire().i32(0x80010002).text(name).i32(0); }

  Address address;

 private:
  void serve() const {
    const int peer = ::accept(listener_, nullptr, nullptr);
    std::array<char, 1 << 16> said;
    ::recv(peer, said.data(), said.size(), 0);
    const Wire welcome = reply("hello")
                             .field(Wire::kStruct, 0)
                             .field(Wire::kI32, 1)
                             .i32(1)
                             .field(Wire::kI64, 4)
                             .i64(std::int64_t{1} << 40)
                             .stop()
                             .stop();
    ::send(peer, welcome.bytes().data(), welcome.bytes().size(), MSG_NOSIGNAL);
    if (::recv(peer, said.data(), said.size(), 0) > 0) {
      // Over and over, until the client has had enough.
      const Deadline end = Deadline::in(30);
      while (!end.passed() && ::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL) > 0) {
      }
    }
    ::close(peer);
  }

  const std::string answer_;
  int listener_ = -1;
  std::thread thread_;
};

TEST(FalseServers, AreNotBelieved) {
  const auto nested = [](const char* name) {
    Wire wire = FalseServer::reply(name);
    for (int i = 0; i < 100'000; ++i) wire.field(Wire::kStruct, 9);
    return wire;
  };
  const Wire filler = Wire().field(Wire::kString, 9).text(std::string(60'000, 'x'));
  const auto pull = [](Client& client) {
    Part part{.id = "r", .length = 4};
    Numbers answer;
    client.push_pull(part, {}, answer);
  };
  const auto get = [](Client& client) { client.get("key"); };
  const auto find = [](Client& client) { client.find(""); };
  const Wire sum = FalseServer::reply("push_pull").field(Wire::kStruct, 0);
  struct Lie {
    std::string answer;
    std::function<void(Client&)> call;
  };
  for (const Lie& lie : {
           Lie{nested("push_pull").bytes(), pull},
           Lie{nested("find").bytes(), find},
           // 2 GB, where 16 bytes were asked for.
           Lie{Wire(sum).field(Wire::kString, 3).i32(0x7fffffff).bytes(), pull},
           Lie{Wire(sum).field(Wire::kString, 3).i32(-1).bytes(), pull},
           Lie{Wire(sum).field(Wire::kList, 6).list(Wire::kI32, 0x7fffffff).bytes(), pull},
           Lie{FalseServer::reply("find")
                   .field(Wire::kList, 0)
                   .list(Wire::kStruct, 0x7fffffff)
                   .bytes(),
               find},
           Lie{FalseServer::reply("get")
                   .field(Wire::kStruct, 0)
                   .field(Wire::kString, 1)
                   .i32(-5)
                   .bytes(),
               get},
           Lie{filler.bytes(), find},
           Lie{"HTTP/1.1 400 Bad Request\r\n\r\n", get},
       }) {
    FalseServer server(lie.answer);
    Client client(server.address);
    const Code code = code_thrown_by([&] { lie.call(client); });
    EXPECT_TRUE(code == Code::unavailable || code == Code::internal) << to_string(code);
  }
}

}  // namespace
}  // namespace lambdaml::ps
