// Local users, web pages and programs that mean harm, against `lambdaml emulate` and a running job.
#include "lambdaml/faas/testing/hostile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include "e2e/command.h"
#include "lambdaml/base/text.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using faas::testing::as_nobody;
using faas::testing::RawConnection;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// The ports on which a process listens, of 127.0.0.1.
std::set<std::uint16_t> ports_of(pid_t process) {
  std::set<unsigned long> inodes;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator("/proc/" + std::to_string(process) + "/fd", error)) {
    unsigned long inode = 0;
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1) inodes.insert(inode);
  }
  std::set<std::uint16_t> out;
  std::ifstream table("/proc/net/tcp");
  for (std::string line; std::getline(table, line);) {
    unsigned port = 0, state = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(),
                    " %*d: %*8[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u "
                    "%*d %lu",
                    &port, &state, &inode) == 3 &&
        state == 0x0a && inodes.contains(inode))
      out.insert(static_cast<std::uint16_t>(port));
  }
  return out;
}

const std::string kNext =
    "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const std::string kList = "GET /2015-03-31/functions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// Whether a process of `nobody` gets not one byte for `request`, whatever it waits for.
bool nobody_gets_nothing(std::uint16_t port, const std::string& request) {
  return as_nobody([&] {
           RawConnection client(port, request);
           return client.receive(20).empty() && (client.closed() || !client.is_connected()) ? 0 : 1;
         }) == 0;
}

class Hostile : public CliTest {
 protected:
  /// Of a machine without any AWS set-up.
  std::vector<std::string> environment_with(std::vector<std::string> more = {}) const {
    std::vector<std::string> out{
        "AWS_ACCESS_KEY_ID=",        "AWS_SECRET_ACCESS_KEY=",
        "AWS_SESSION_TOKEN=",        "AWS_PROFILE=",
        "AWS_REGION=us-east-1",      "AWS_EC2_METADATA_DISABLED=true",
        "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  /// Starts `lambdaml emulate` and waits until it is ready; the lines that it then has printed.
  std::vector<std::string> emulate(std::vector<std::string> environment,
                                   std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"emulate", "--port", "0", "--log-folder", "logs"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    emulator_ = std::make_unique<Command>(folder(), arguments, environment);
    const Deadline deadline = Deadline::in(60);
    std::string out;
    while (!out.ends_with('\n') && !deadline.passed() && emulator_->runs()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      out = emulator_->out_so_far();
    }
    std::vector<std::string> lines = split(out, '\n');
    url_ = lines[0].substr(lines[0].find("http"));
    port_ = static_cast<std::uint16_t>(std::stoi(url_.substr(url_.rfind(':') + 1)));
    return lines;
  }
  void TearDown() override {
    if (emulator_) {
      emulator_->signal(SIGTERM);
      EXPECT_EQ(emulator_->wait().exit_code, 0);
    }
    CliTest::TearDown();
  }
  /// What a client with these keys gets: a function that is not there is no error to `destroy`.
  Result ask_with(std::vector<std::string> keys) const {
    keys.push_back("AWS_ENDPOINT_URL_LAMBDA=" + url_);
    return lambdaml({"destroy", "nothing"}, environment_with(keys));
  }

  std::unique_ptr<Command> emulator_;
  std::string url_;
  std::uint16_t port_ = 0;
};

const std::vector<std::string> kKeys{"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=secret"};

TEST_F(Hostile, AKeyIsMadeAndPrintedWhereThereIsNone) {
  const std::vector<std::string> lines = emulate(environment_with());
  ASSERT_EQ(lines.size(), 4U) << join(lines, "|");
  EXPECT_THAT(lines[0], StartsWith("listening on http://127.0.0.1:"));
  ASSERT_THAT(lines[1], StartsWith("export AWS_ACCESS_KEY_ID="));
  ASSERT_THAT(lines[2], StartsWith("export AWS_SECRET_ACCESS_KEY="));
  const std::vector<std::string> keys{lines[1].substr(7), lines[2].substr(7)};
  EXPECT_EQ(ask_with(keys).exit_code, 0);
  EXPECT_THAT(RawConnection(port_, kList).receive(20, 400),
              HasSubstr("MissingAuthenticationTokenException"));
  for (const auto& wrong : {kKeys, {keys[0], keys[1] + "x"}, {keys[0] + "x", keys[1]}}) {
    const Result refused = ask_with(wrong);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr("lambdaml emulate")) << "where the keys are";
    EXPECT_THAT(refused.err, Not(HasSubstr(keys[1].substr(keys[1].find('=') + 1))));
  }
  // Each start makes another.
  Command second(folder(), {"emulate", "--json"}, environment_with());
  const Deadline deadline = Deadline::in(60);
  while (second.out_so_far().empty() && !deadline.passed())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  second.signal(SIGTERM);
  const nlohmann::json said = second.wait().json();
  EXPECT_GE(said["secret_access_key"].get<std::string>().size(), 40U);
  EXPECT_NE("AWS_ACCESS_KEY_ID=" + said["access_key_id"].get<std::string>(), keys[0]);
}

TEST_F(Hostile, TheEnvironmentsKeysAreTaken) {
  EXPECT_THAT(emulate(environment_with(kKeys)), testing::SizeIs(2)) << "the ready line alone";
  EXPECT_EQ(ask_with(kKeys).exit_code, 0);
  EXPECT_EQ(ask_with({kKeys[0], "AWS_SECRET_ACCESS_KEY=another"}).exit_code, 2);
  const Result half = lambdaml({"emulate"}, environment_with({kKeys[0]}));
  EXPECT_EQ(half.exit_code, 2);
  EXPECT_THAT(half.err, HasSubstr("AWS_SECRET_ACCESS_KEY"));
}

TEST_F(Hostile, TheProfilesKeysAreTakenToo) {
  const fs::path file =
      write("credentials",
            "[default]\naws_access_key_id = profile\naws_secret_access_key = its secret\n");
  const std::string profile = "AWS_SHARED_CREDENTIALS_FILE=" + file.string();
  const std::vector<std::string> lines = emulate(environment_with({profile}));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(ask_with({profile}).exit_code, 0);
  EXPECT_EQ(ask_with({lines[1].substr(7), lines[2].substr(7)}).exit_code, 0);
  EXPECT_EQ(ask_with({"AWS_ACCESS_KEY_ID=profile", "AWS_SECRET_ACCESS_KEY=x"}).exit_code, 2);
}

TEST_F(Hostile, NoAuthSaysWhatItMeans) {
  emulate(environment_with(), {"--no-auth"});
  EXPECT_THAT(emulator_->err_so_far(),
              HasSubstr("every program of this user that reaches port " + std::to_string(port_)));
  EXPECT_EQ(ask_with(kKeys).exit_code, 0);
  EXPECT_EQ(RawConnection(port_, kList).status(), "200");
  EXPECT_EQ(RawConnection(port_, "GET /2015-03-31/functions HTTP/1.1\r\nHost: a.example\r\n\r\n")
                .status(),
            "403");
  EXPECT_EQ(RawConnection(port_,
                          "POST /2015-03-31/functions HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: "
                          "http://a.example\r\nContent-Type: text/plain\r\n"
                          "Content-Length: 2\r\n\r\n{}")
                .status(),
            "403");
}

TEST_F(Hostile, FourThousandHalfOpenRequestsKeepNobodyOut) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  REQUIRE_OR_SKIP(limit.rlim_max > 8192, "no more than 8192 open files are allowed");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  emulate(environment_with(kKeys));
  const std::string signed_so_far =
      "POST /2015-03-31/functions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
      "Authorization: AWS4-HMAC-SHA256 Credential=local/20300101/us-east-1/lambda/aws4_request";
  std::vector<std::unique_ptr<RawConnection>> crowd;
  for (int i = 0; i < 4096; ++i) {
    const std::string bytes[] = {"", "P", kList.substr(0, kList.size() - 2), signed_so_far};
    crowd.push_back(std::make_unique<RawConnection>(port_, bytes[i % 4]));
    ASSERT_TRUE(crowd.back()->is_connected()) << i;
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ask_with(kKeys).exit_code, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  std::vector<std::string> keys = kKeys;
  keys.push_back("AWS_ENDPOINT_URL_LAMBDA=" + url_);
  const Result deployed = lambdaml({"deploy", "--zip", LAMBDAML_TEST_ZIP, "--function", "f",
                                    "--role", "arn:aws:iam::000000000000:role/r"},
                                   environment_with(keys));
  EXPECT_EQ(deployed.exit_code, 0) << deployed.err;
#endif
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
  EXPECT_TRUE(crowd.front()->closes(20)) << "the oldest went";
}

TEST_F(Hostile, ARequestThatDripsIsClosed) {
  emulate(environment_with(kKeys));
  RawConnection client(port_, "GET /");
  const Deadline deadline = Deadline::in(60);
  while (!client.closed() && !deadline.passed() && client.send("x")) client.receive(0.5);
  EXPECT_FALSE(deadline.passed());
  EXPECT_EQ(ask_with(kKeys).exit_code, 0);
}

TEST_F(Hostile, LargeBodiesNeedAKeyBeforeTheyAreRead) {
  emulate(environment_with(kKeys));
  const auto memory = [&] {
    std::ifstream status("/proc/" + std::to_string(emulator_->pid()) + "/status");
    long kilobytes = 0;
    for (std::string line; std::getline(status, line);)
      if (std::sscanf(line.c_str(), "VmHWM: %ld", &kilobytes) == 1) return kilobytes;
    return kilobytes;
  };
  const long before = memory();
  std::vector<std::unique_ptr<RawConnection>> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(
        std::make_unique<RawConnection>(port_,
                                        "POST /2015-03-31/functions HTTP/1.1\r\nHost: "
                                        "127.0.0.1\r\nContent-Length: 70000000\r\n\r\n"));
    clients.back()->send(std::string(30'000'000, 'x'));
  }
  for (const auto& client : clients) EXPECT_EQ(client->status(), "403");
  EXPECT_LT(memory() - before, 100'000) << "KB";
}

TEST_F(Hostile, AnotherUserGetsNothingOfARunningJob) {
  REQUIRE_OR_SKIP(::geteuid() == 0, "only root may become another user");
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "20000", "-o", "data"}).exit_code, 0);
  const std::vector<std::string> job{"train",    "--data",   "data",         "--workers", "4",
                                     "--epochs", "30",       "--batch-size", "50",        "--optim",
                                     "grad_avg", "--output", "run",          "-q"};
  Command training(folder(), job);
  // From the moment that a port is there: its first event may not have been fetched yet.
  std::set<std::uint16_t> tried;
  while (training.runs()) {
    for (const std::uint16_t port : ports_of(training.pid()))
      if (tried.insert(port).second) {
        EXPECT_TRUE(nobody_gets_nothing(port, kNext)) << port;
      }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Result done = training.wait();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_GE(tried.size(), 4U) << "the job was over before anybody could look";
  EXPECT_THAT(done.err, HasSubstr("refused a connection of user 65534"));
}

TEST_F(Hostile, AnotherUserGetsNothingOfTheEmulatorAndItsFunctions) {
  REQUIRE_OR_SKIP(::geteuid() == 0, "only root may become another user");
  emulate(environment_with(kKeys), {"--no-auth"});
  EXPECT_TRUE(nobody_gets_nothing(port_, kList));
  // A function that is there as long as the request lasts: its start never ends.
  const fs::path bootstrap = write("bootstrap", "#!/bin/sh\nexec sleep 60\n");
  fs::permissions(bootstrap, fs::perms::owner_all);
  ASSERT_EQ(std::system(
                ("cd " + folder().string() + " && python3 -m zipfile -c f.zip bootstrap").c_str()),
            0);
  std::vector<std::string> keys = kKeys;
  keys.push_back("AWS_ENDPOINT_URL_LAMBDA=" + url_);
  const Result deployed = lambdaml(
      {"deploy", "--zip", "f.zip", "--function", "f", "--role", "arn:aws:iam::000000000000:role/r"},
      environment_with(keys));
  ASSERT_EQ(deployed.exit_code, 0) << deployed.err;
  const Result sent =
      lambdaml({"invoke", "f", "--payload", "{}", "--async"}, environment_with(keys));
  ASSERT_EQ(sent.exit_code, 0) << sent.err;
  std::set<std::uint16_t> ports;
  const Deadline deadline = Deadline::in(60);
  while (ports.size() < 2 && !deadline.passed()) ports = ports_of(emulator_->pid());
  ASSERT_EQ(ports.size(), 2U);
  for (const std::uint16_t port : ports) {
    EXPECT_TRUE(nobody_gets_nothing(port, kNext)) << port;
    EXPECT_TRUE(nobody_gets_nothing(port, kList)) << port;
  }
  ports.erase(port_);
  // The event is still there for the one it belongs to.
  EXPECT_EQ(RawConnection(*ports.begin(), kNext).status(), "200");
}

}  // namespace
}  // namespace lambdaml::e2e
