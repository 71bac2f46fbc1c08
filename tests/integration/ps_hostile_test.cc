// `lambdaml ps` among clients that mean no good: its documented limits of memory, time and number.
#include <gmock/gmock.h>

#include "integration/ps_fixture.h"
#include "integration/servers.h"
#include "integration/talk.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/ps/testing/raw_client.h"
#include "lambdaml/ps/testing/test_support.h"

namespace lambdaml::e2e {
namespace {

using ps::RawClient;
using ps::Wire;
using testing::HasSubstr;

/// With room for a loaded machine.
constexpr double kSoon_s = 5;

class ParameterServerAttacked : public PsTest {
 protected:
  static std::string upload(std::uint32_t announced) {
    return Wire::call("push_pull")
        .field(Wire::kStruct, 1)
        .field(Wire::kI64, 11)
        .i64(announced / 4)
        .field(Wire::kString, 9)
        .i32(announced)
        .bytes();
  }
  static std::string hello(const std::string& token) {
    return Wire::call("hello").field(Wire::kString, 1).text(token).stop().bytes();
  }
};

TEST_F(ParameterServerAttacked, ItsMemoryStaysBelowItsLimitUnderUnfinishedUploads) {
  constexpr std::size_t kLimit_mb = 300;
  const int port = servers::free_port();
  const auto server = serve({"--memory-mb", std::to_string(kLimit_mb)}, port);
  const auto raw_port = static_cast<std::uint16_t>(port);
  std::vector<RawClient> crowd;
  const std::string sent(60'000'000, 'x');
  std::size_t most = 0;
  for (int i = 0; i < 12; ++i) {
    crowd.emplace_back(raw_port);
    crowd.back().say(upload(100'000'000) + sent, 2);
    most = std::max(most, resident_memory(server->pid()));
  }
  // A good client shares rounds of 20 MB meanwhile.
  ps::Client client(address_at(port));
  const std::vector<float> values(5'000'000, 1.0F);
  for (std::uint64_t round = 0; round < 5; ++round) {
    const Stopwatch clock;
    ps::Part part{.id = "job/rounds", .round = round, .workers = 1};
    part.retired = round;
    EXPECT_EQ(ps::exchange(client, part, values).values, values);
    EXPECT_LT(clock.seconds(), kSoon_s);
    most = std::max(most, resident_memory(server->pid()));
  }
  // The vectors, and the process itself.
  EXPECT_LT(most, (kLimit_mb + 60) * 1000 + kSanitizer_kB);
  EXPECT_TRUE(server->runs());
}

TEST_F(ParameterServerAttacked, ACrowdThatSaysTwoBytesKeepsNobodyOut) {
  const int port = servers::free_port();
  write("token", "open sesame\n");
  for (const bool with_token : {false, true}) {
    std::vector<std::string> arguments = {"--connections", "100", "--host", "127.0.0.1"};
    if (with_token) arguments.insert(arguments.end(), {"--token", "token"});
    const auto server = serve(arguments, port);
    std::vector<RawClient> crowd;
    for (int i = 0; i < 400; ++i) {
      crowd.emplace_back(static_cast<std::uint16_t>(port));
      crowd.back().say("\x80\x01");
    }
    for (int i = 0; i < 5; ++i) {
      const Stopwatch clock;
      ps::Client(address_at(port, with_token ? "open sesame" : "")).ping();
      EXPECT_LT(clock.seconds(), kSoon_s);
    }
    EXPECT_LT(resident_memory(server->pid()), 100'000U + kSanitizer_kB);
  }
}

/// Each time that docs/how-to/ps.md gives, at once.
TEST_F(ParameterServerAttacked, TimesOfSlowConnectionsAreAsDocumented) {
  constexpr std::size_t kBytes = 40'000'000;
  const int port = servers::free_port();
  const auto raw_port = static_cast<std::uint16_t>(port);
  write("token", "open sesame\n");
  const auto server =
      serve({"--token", "token", "--host", "127.0.0.1", "--log-level", "info"}, port);
  ps::Client idle(address_at(port, "open sesame"));
  idle.put("large", Buffer(kBytes));
  const auto drip_until_cut = [](const RawClient& client) {
    const Stopwatch clock;
    while (client.say(std::string(1, '\0'), 60) && clock.seconds() < 60)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return clock.seconds();
  };
  const auto expect_about = [](const char* what, double seconds, double documented) {
    EXPECT_GE(seconds, documented * 0.99) << what;
    EXPECT_LE(seconds, documented * 1.1 + 2) << what;
  };
  ps::on_threads(4, [&](std::uint32_t i) {
    const RawClient client(raw_port);
    const Stopwatch clock;
    if (i == 0) {
      client.is_cut(60);
      return expect_about("says nothing", clock.seconds(), 10);
    }
    if (i == 1) {
      client.say(Wire::call("hello").field(Wire::kString, 1).i32(9000));
      return expect_about("says the token too slowly", drip_until_cut(client), 10);
    }
    client.say(hello("open sesame"));
    if (client.outcome().kind != RawClient::Outcome::Kind::answered)
      fail(Code::internal, "not let in");
    if (i == 2) {
      client.hear(1000, 0.1);
      client.say(upload(1'000'000));
      return expect_about("sends too slowly", drip_until_cut(client), 20);
    }
    client.say(Wire::call("get").field(Wire::kString, 1).text("large").stop());
    const Stopwatch answer;
    std::size_t heard = 0;
    while (answer.seconds() < 60) {
      const std::string some = client.hear(100, 0.1);
      if (some.empty()) break;
      heard += some.size();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      // Its socket's buffers are full: what the server still sends is seen by its log only.
      if (read(folder() / "server.log").find("taken less than") != std::string::npos) break;
    }
    EXPECT_LT(heard, kBytes);
    expect_about("takes too slowly", answer.seconds(), 30);
  });
  idle.ping();
}

}  // namespace
}  // namespace lambdaml::e2e
