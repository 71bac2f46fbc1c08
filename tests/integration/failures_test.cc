// What can go wrong with a service, as a user sees it: one line, the documented exit code, in
// bounded time, nothing left behind, and no credential anywhere.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/stores.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// Words that stand in the environment or URIs of these tests and must stand nowhere else.
const std::vector<std::string> kSecrets = {"AKIDTELLNOBODY", "tellnobodysecret", "tellnobodytoken",
                                           "hunter2"};

struct Fault {
  std::string scheme;
  std::string name;
  /// Makes the channel's URI of the server's own.
  std::function<std::string(const servers::Server&)> channel;
  std::vector<std::string> environment;
  std::vector<std::string> must_say;
  int exit_code = 2;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.scheme << "_" << fault.name; }

class Faults : public CliTest, public testing::WithParamInterface<Fault> {};

TEST_P(Faults, GetOneLineAndLeaveNothing) {
  const Fault& fault = GetParam();
  REQUIRE_STORE(fault.scheme);
  REQUIRE_REAL_DATA();
  const std::string channel = fault.channel(servers::get(fault.scheme));
  const Stopwatch clock;
  const Result result = lambdaml({"train", "--data", real_data("higgs.train.libsvm"), "--workers",
                                  "2", "--epochs", "1", "-q", "--channel", channel},
                                 fault.environment);
  EXPECT_LT(clock.seconds(), 60);
  EXPECT_EQ(result.exit_code, fault.exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  for (const std::string& text : fault.must_say) EXPECT_THAT(result.err, HasSubstr(text));
  EXPECT_FALSE(fs::exists(folder() / "runs"));
  const Result verbose = lambdaml({"storage", "ls", channel, "--verbose"}, fault.environment);
  for (const std::string& secret : kSecrets) {
    EXPECT_THAT(result.err, Not(HasSubstr(secret)));
    EXPECT_THAT(verbose.err + verbose.out, Not(HasSubstr(secret)));
  }
}

std::function<std::string(const servers::Server&)> always(const std::string& uri) {
  return [uri](const servers::Server&) { return uri; };
}
std::string own(const servers::Server& server) { return server.uri + "/faults"; }

INSTANTIATE_TEST_SUITE_P(
    , Faults,
    testing::Values(
        Fault{"s3",
              "wrong_secret",
              own,
              {"AWS_SECRET_ACCESS_KEY=tellnobodysecret"},
              {"s3://", "AWS_SECRET_ACCESS_KEY"}},
        Fault{"s3",
              "unknown_key",
              own,
              {"AWS_ACCESS_KEY_ID=AKIDTELLNOBODY", "AWS_SECRET_ACCESS_KEY=tellnobodysecret",
               "AWS_SESSION_TOKEN=tellnobodytoken"},
              {"s3://", "AWS_SECRET_ACCESS_KEY"}},
        Fault{"s3",
              "missing_bucket",
              always("s3://no-such-bucket"),
              {},
              {"no-such-bucket", "bucket"}},
        Fault{"s3",
              "refused",
              own,
              {"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1"},
              {"127.0.0.1:1", "connect"},
              1},
        Fault{"s3",
              "unknown_host",
              own,
              {"AWS_ENDPOINT_URL_S3=http://no-such-host.invalid"},
              {"no-such-host.invalid", "resolve"},
              1},
        Fault{"s3",
              "no_credentials",
              own,
              {"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="},
              {"credentials"}},
        Fault{"dynamodb",
              "missing_table",
              always("dynamodb://no-such-table"),
              {},
              {"no-such-table", "create=true"}},
        Fault{"dynamodb",
              "refused",
              own,
              {"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1"},
              {"127.0.0.1:1"},
              1},
        Fault{"redis",
              "refused",
              always("redis://user:hunter2@127.0.0.1:1/0"),
              {},
              {"127.0.0.1:1"},
              1},
        Fault{"redis",
              "needless_password",
              [](const servers::Server& server) {
                return "redis://nobody:hunter2@" + server.uri.substr(server.uri.find("://") + 3);
              },
              {},
              {"redis://"}},
        Fault{"redis",
              "unknown_host",
              always("redis://no-such-host.invalid/0"),
              {},
              {"no-such-host.invalid"},
              1},
        Fault{"ps", "refused", always("ps://:hunter2@127.0.0.1:1"), {}, {"127.0.0.1:1"}, 1},
        Fault{"memcached", "refused", always("memcached://127.0.0.1:1"), {}, {"127.0.0.1:1"}, 1},
        Fault{"memcached",
              "unknown_host",
              always("memcached://no-such-host.invalid"),
              {},
              {"no-such-host.invalid"},
              1}),
    [](const auto& info) { return info.param.scheme + "_" + info.param.name; });

class Outages : public CliTest, public testing::WithParamInterface<std::string> {
 protected:
  /// How long a service is given to come back in these tests. Not the 20 s of users, for tests take
  /// real time; LAMBDAML_TEST_OUTAGE_S=20 does.
  static double outage_s() {
    const char* const text = std::getenv("LAMBDAML_TEST_OUTAGE_S");
    return text == nullptr ? 3 : to_real(text).value();
  }
  static const servers::Server& server() { return servers::get(GetParam()); }
  std::string place() const { return server().uri + "/" + folder().filename().string(); }
  static std::vector<std::string> environment() {
    return {fmt::format("LAMBDAML_OUTAGE_S={}", outage_s())};
  }
  /// A job without end, of which some epochs are done.
  std::unique_ptr<Command> job() const {
    auto command = std::make_unique<Command>(
        folder(),
        std::vector<std::string>{"train", "-q", "--data", real_data("higgs.train.libsvm"),
                                 "--workers", "2", "--epochs", "100000", "--batch-size", "1000",
                                 "--output", "run", "--channel", place()},
        environment());
    // The metrics of the second epoch come after the checkpoint of the first.
    EXPECT_TRUE(wait_for_epochs(*command, folder() / "run" / "metrics.jsonl", 2));
    return command;
  }
  void expect_the_end(Command& command) const {
    const Stopwatch clock;
    const Result result = command.wait();
    // An outage begins with the request that was under way, which a loaded machine may have sent a
    // second before.
    EXPECT_GE(clock.seconds(), 0.9 * outage_s() - 1);
    // What is cleared after a service was given up is not waited for again.
    EXPECT_LE(clock.seconds(), 1.1 * outage_s() + 3);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr(":" + std::to_string(server().port)));
    EXPECT_THAT(result.err, HasSubstr("lambdaml resume"));
  }
};
INSTANTIATE_TEST_SUITE_P(, Outages, testing::ValuesIn(servers::schemes()),
                         [](const auto& info) { return info.param; });

TEST_P(Outages, WithoutEndFailTheJobInTimeNamingTheEndpoint) {
  REQUIRE_STORE(GetParam());
  REQUIRE_REAL_DATA();
  const auto killed = job();
  server().stop();
  expect_the_end(*killed);
  server().start();
  EXPECT_EQ(lambdaml({"storage", "clear", place(), "-q"}).exit_code, 0);
}

TEST_P(Outages, OfAFrozenServiceFailTheJobInTime) {
  REQUIRE_STORE(GetParam());
  REQUIRE_REAL_DATA();
  const auto frozen = job();
  server().signal(SIGSTOP);
  expect_the_end(*frozen);
  // A command that begins now has never heard of it.
  const Stopwatch clock;
  const Result listed = lambdaml({"storage", "ls", place()}, environment());
  EXPECT_EQ(listed.exit_code, 1) << listed.err;
  EXPECT_LE(clock.seconds(), 1.1 * outage_s() + 2);
  server().signal(SIGCONT);
  EXPECT_EQ(lambdaml({"storage", "clear", place(), "-q"}).exit_code, 0);
}

TEST_P(Outages, AnInterruptEndsTheJobAtOnce) {
  REQUIRE_STORE(GetParam());
  REQUIRE_REAL_DATA();
  const auto frozen = job();
  server().signal(SIGSTOP);
  pause_for(0.5);
  frozen->signal(SIGINT);
  const Stopwatch clock;
  const Result result = frozen->wait();
  server().signal(SIGCONT);
  EXPECT_LE(clock.seconds(), 1 + kTidying_s + 3);  // for a machine that does much else
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(lambdaml({"storage", "clear", place(), "-q"}).exit_code, 0);
}

class Foreign : public CliTest, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Foreign, testing::ValuesIn(servers::schemes()),
                         [](const auto& info) { return info.param; });

TEST_P(Foreign, KeysBesideAJobAreLeftAlone) {
  REQUIRE_STORE(GetParam());
  REQUIRE_REAL_DATA();
  const std::string place = servers::get(GetParam()).uri + "/" + folder().filename().string();
  const auto store = storage::open(place);
  store->save("somebody/else", as_bytes("untouched"));
  store->save("0", as_bytes("untouched"));
  train({"--data", real_data("higgs.train.libsvm"), "--workers", "2", "--epochs", "1", "--channel",
         place});
  EXPECT_EQ(store->load("somebody/else")->text(), "untouched");
  EXPECT_EQ(store->load("0")->text(), "untouched");
  EXPECT_EQ(store->list("").size(), 2U);
  // What is no data set is not taken for one.
  const Result result =
      lambdaml({"train", "-q", "--data", place + "/somebody/else", "--workers", "2"});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("somebody/else"));
  store->clear("");
}

TEST_P(Foreign, AKeptJobLeavesItsKeys) {
  REQUIRE_STORE(GetParam());
  REQUIRE_REAL_DATA();
  const std::string place = servers::get(GetParam()).uri + "/" + folder().filename().string();
  const nlohmann::json summary = train({"--data", real_data("higgs.train.libsvm"), "--workers", "2",
                                        "--epochs", "1", "--keep", "--channel", place});
  const auto store = storage::open(place);
  EXPECT_FALSE(store->list(summary.at("job_id").get<std::string>() + "/").empty());
  store->clear("");
  EXPECT_THAT(store->list(""), IsEmpty());
}

}  // namespace
}  // namespace lambdaml::e2e
