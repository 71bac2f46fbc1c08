// The first interrupt ends a command, whatever it waits for: within a second, with two more to tidy
// up, exit code 130, no process left, and a line that says what else is.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include "e2e/command.h"
#include "integration/gate.h"
#include "integration/stores.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using servers::Gate;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// 3 s are promised; the rest is for a machine that does much else.
constexpr double kEnd_s = 6;

/// The URI of `server` by way of another port, and what its clients need in their environment.
struct Way {
  std::string uri;
  std::vector<std::string> environment;
};
Way by_way_of(int port, const servers::Server& server) {
  const auto replaced = [&](std::string text) {
    const std::string old = ":" + std::to_string(server.port);
    if (const std::size_t at = text.find(old); at != std::string::npos)
      text.replace(at, old.size(), ":" + std::to_string(port));
    return text;
  };
  Way way{replaced(server.uri), {}};
  for (const std::string& pair : server.environment) way.environment.push_back(replaced(pair));
  return way;
}

/// Interrupts the command, calls `then`, and checks what is promised of every one.
Result interrupted(
    Command& command, const std::function<void()>& then = [] {}) {
  const std::vector<pid_t> workers = command.workers();
  const Stopwatch clock;
  command.signal(SIGINT);
  then();
  Result result = command.wait();
  EXPECT_LT(clock.seconds(), kEnd_s);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_THAT(result.err, HasSubstr("interrupted"));
  // The data have a column that is the same in all rows.
  std::istringstream lines(result.err);
  int said = 0;
  for (std::string line; std::getline(lines, line);) said += line.starts_with("warning: ") ? 0 : 1;
  EXPECT_EQ(said, 1) << result.err;
  // The kernel takes a moment where it is the one that kills them.
  const Deadline patience = Deadline::in(60);
  for (const pid_t pid : workers) {
    while (::kill(pid, 0) == 0 && !patience.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_NE(::kill(pid, 0), 0) << "worker " << pid << " lives on";
  }
  return result;
}

/// dynalite ends by a request that is cut.
void revive(const servers::Server& server) {
  if (server.name != "dynamodb") return;
  server.stop();
  server.start();
}

/// A moment of a job, by what its processes say to the store then.
struct Moment {
  std::string name;
  std::string text;
  int nth = 1;
};

/// All moments of a job over the store.
std::vector<Moment> moments_of(const std::string& scheme) {
  Moment clearing{"clearing", "/result/model", 3};  // saved, collected, removed
  if (scheme == "redis") clearing = {"clearing", "SCAN"};
  if (scheme == "s3") clearing = {"clearing", "list-type"};
  if (scheme == "dynamodb") clearing = {"clearing", ".Scan"};
  if (scheme == "ps") clearing = {"clearing", "clear"};
  return {{"contact", "interrupts"},
          {"staging", "/data/0_"},
          {"training", "/metrics/3"},
          {"collecting", "/result/model"},
          clearing};
}

struct Case {
  std::string scheme;
  Moment moment;
  std::string service;  ///< healthy, frozen or dead from that moment on
};
void PrintTo(const Case& wanted, std::ostream* out) {
  *out << wanted.scheme << "_" << wanted.moment.name << "_" << wanted.service;
}

/// All, or every seventh: each store, moment and fault, and not always the same two together.
std::vector<Case> cases() {
  std::vector<Case> out;
  std::size_t number = 0;
  for (const std::string& scheme : servers::schemes()) {
    if (scheme == "rediss" || scheme == "memcacheds") continue;  // the gate cannot read what passes
    for (const Moment& moment : moments_of(scheme))
      for (const char* service : {"healthy", "frozen", "dead"})
        if (number++ % 7 == 1 || servers::wants_all_faults())
          out.push_back({scheme, moment, service});
  }
  return out;
}

class Interrupts : public CliTest, public testing::WithParamInterface<Case> {};
INSTANTIATE_TEST_SUITE_P(, Interrupts, testing::ValuesIn(cases()), [](const auto& info) {
  return info.param.scheme + "_" + info.param.moment.name + "_" + info.param.service;
});

TEST_P(Interrupts, EndAJobInEachOfItsMoments) {
  const Case& wanted = GetParam();
  REQUIRE_STORE(wanted.scheme);
  REQUIRE_REAL_DATA();
  const servers::Server& server = servers::get(wanted.scheme);
  const bool healthy = wanted.service == "healthy";
  Gate gate(server.port);
  gate.set_at(wanted.moment.text, wanted.moment.nth,
              wanted.service == "dead" ? Gate::State::shut : Gate::State::frozen);
  const Way way = by_way_of(gate.port(), server);
  const std::string folder_of_test = "/interrupts-" + folder().filename().string();
  const bool is_long = wanted.moment.name == "training";
  Command command(folder(),
                  {"train", "-q", "--data", real_data("higgs.train.libsvm"), "--workers", "2",
                   "--epochs", is_long ? "100000" : "5", "--batch-size", "500", "--output", "run",
                   "--channel", way.uri + folder_of_test},
                  way.environment);
  ASSERT_TRUE(gate.wait(60)) << command.err_so_far();
  // The moment does not pass before the signal has come.
  const Result result = interrupted(command, [&] {
    if (healthy) gate.set(Gate::State::open);
  });
  if (is_long) {
    EXPECT_THAT(result.err, HasSubstr("lambdaml resume"));
  }
  if (!healthy) revive(server);
  const auto direct = storage::open(server.uri + folder_of_test);
  const std::string words = "lambdaml storage clear " + way.uri + folder_of_test + " ";
  const std::size_t at = result.err.find(words);
  if (wanted.moment.name == "contact") {
    EXPECT_EQ(at, std::string::npos) << result.err;
  } else if (!healthy) {
    ASSERT_NE(at, std::string::npos) << result.err;
  }
  // A healthy service is cleared, unless that takes more than the 2 s: then what is left is said.
  if (at != std::string::npos) {
    // As the message says, but not by way of the gate.
    const std::string prefix = result.err.substr(at + words.size());
    direct->clear(prefix.substr(0, prefix.find_first_of(" ;\n")));
  }
  EXPECT_THAT(direct->list(""), IsEmpty());
}

class InterruptsOfServers : public CliTest, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(, InterruptsOfServers,
                         testing::ValuesIn(servers::schemes_with_faults({"redis", "ps"})),
                         [](const auto& info) { return info.param; });

TEST_P(InterruptsOfServers, EndAJobWhoseServerIsStopped) {
  REQUIRE_STORE(GetParam());
  REQUIRE_REAL_DATA();
  const servers::Server& server = servers::get(GetParam());
  const std::string place = server.uri + "/" + folder().filename().string();
  Command command(
      folder(), {"train", "-q", "--data", real_data("higgs.train.libsvm"), "--workers", "2", "--lr",
                 "0.1", "--epochs", "100000", "--output", "run", "--channel", place});
  ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 2));
  server.signal(SIGSTOP);
  // Whatever it has asked for does not come.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Result result = interrupted(command);
  server.signal(SIGCONT);
  revive(server);
  EXPECT_THAT(result.err, AllOf(HasSubstr("storage clear"), HasSubstr("lambdaml resume")));
  storage::open(place)->clear("");
}

/// Commands that talk to a service which never answers.
class InterruptsOfCommands : public CliTest {
 protected:
  /// Runs the command until it talks to the service.
  void expect_to_end(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& environment = {}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    Gate silent;
    std::vector<std::string> all = arguments;
    for (std::string& argument : all) argument = filled(argument, silent.port());
    std::vector<std::string> variables = environment;
    for (std::string& variable : variables) variable = filled(variable, silent.port());
    Command command(folder(), all, variables);
    ASSERT_TRUE(silent.wait(20)) << command.err_so_far();
    interrupted(command);
  }

 private:
  static std::string filled(std::string text, int port) {
    const std::string hole = "PORT";
    if (const std::size_t at = text.find(hole); at != std::string::npos)
      text.replace(at, hole.size(), std::to_string(port));
    return text;
  }
};

const std::vector<std::string> kKeys = {"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
                                        "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1",
                                        "AWS_EC2_METADATA_DISABLED=true"};

TEST_F(InterruptsOfCommands, EndEachThatUsesAStore) {
  REQUIRE_REAL_DATA();
  const std::string data = real_data("agaricus.train.libsvm");
  train(
      {"--data", data, "--workers", "2", "--epochs", "3", "--stop-after", "1", "--output", "run"});
  write("search.yaml", "data: " + data +
                           "\nepochs: 1\nworkers: 1\n"
                           "tune:\n  strategy: grid\n  metric: train_loss\n"
                           "  space:\n    lr:\n      choice: [0.1]\n");
  const std::string store = "redis://127.0.0.1:PORT/0/folder";
  const std::vector<std::vector<std::string>> commands{
      {"train", "-q", "--data", data, "--channel", store},
      {"train", "-q", "--data", store + "/data"},
      {"train", "-q", "--data", data, "--checkpoint", store},
      {"resume", "run", "-q", "--channel", store},
      {"tune", "-q", "search.yaml", "--channel", store},
      {"tune", "-q", "--resume", store},
      {"predict", "--model", store + "/model", "--data", data},
      {"predict", "--model", "run/model.safetensors", "--data", store + "/data"},
      {"data", "split", data, "--workers", "2", "--to", store},
      {"data", "info", store},
      {"storage", "ls", store},
      {"storage", "get", store, "key"},
      {"storage", "put", store, "key", "run/job.yaml"},
      {"storage", "rm", store, "key"},
      {"storage", "clear", store},
      {"status", store + "/job"},
      {"logs", "-f", store + "/job"},
      {"stop", store + "/job"},
      {"ls", store},
      {"bench", "comm", "--channel", store, "--workers", "2"}};
  for (const std::vector<std::string>& command : commands) expect_to_end(command);
}

TEST_F(InterruptsOfCommands, EndEachThatUsesLambda) {
  std::vector<std::string> environment = kKeys;
  environment.push_back("AWS_ENDPOINT_URL_LAMBDA=http://127.0.0.1:PORT");
  const std::vector<std::vector<std::string>> commands{
      {"deploy", "-q", "--zip", LAMBDAML_TEST_ZIP, "--role", "arn:aws:iam::123456789012:role/test"},
      {"invoke", "function"},
      {"invoke", "function", "--async"},
      {"destroy", "-q", "function"}};
  for (const std::vector<std::string>& command : commands) expect_to_end(command, environment);
}

TEST_F(InterruptsOfCommands, EndOneInEachStore) {
  for (const std::string name : {"s3", "dynamodb"}) {
    std::vector<std::string> environment = kKeys;
    std::string variable = "AWS_ENDPOINT_URL_" + name;
    for (char& c : variable) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    environment.push_back(variable + "=http://127.0.0.1:PORT");
    expect_to_end({"storage", "ls", name + "://place"}, environment);
  }
  for (const std::string name : {"memcached", "ps", "redis"})
    expect_to_end({"storage", "ls", name + "://127.0.0.1:PORT"});
}

/// Waits until the command has a handler of interrupts.
void wait_for_handler(const Command& command) {
  const std::string status = "/proc/" + std::to_string(command.pid()) + "/status";
  const Deadline patience = Deadline::in(60);
  const auto has_handler = [&] {
    std::ifstream in(status);
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("SigCgt:"))
        return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
    return false;
  };
  while (!has_handler() && !patience.passed())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST_F(InterruptsOfCommands, EndOneThatReadsAPipe) {
  ASSERT_EQ(::mkfifo((folder() / "pipe").c_str(), 0600), 0);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"train", "-q", "--data", "pipe"}, {"data", "info", "pipe"}}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    Command command(folder(), arguments);
    wait_for_handler(command);
    // Most often it waits for the pipe's other end by then.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    interrupted(command);
    EXPECT_FALSE(fs::exists(folder() / "runs"));
  }
}

TEST_F(InterruptsOfCommands, EndAJobWhoseWorkersDoNotBegin) {
  REQUIRE_REAL_DATA();
  const fs::path sleeper = write("sleeper", "#!/bin/sh\nsleep 1000\n");
  fs::permissions(sleeper, fs::perms::owner_all);
  const std::string channel = "file://" + (folder() / "channel").string();
  Command command(folder(),
                  {"train", "-q", "--data", real_data("agaricus.train.libsvm"), "--workers", "3",
                   "--output", "run", "--channel", channel},
                  {"LAMBDAML_WORKER=" + sleeper.string()});
  for (int i = 0; i < 2000 && command.workers().size() < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  interrupted(command);
  EXPECT_THAT(storage::open(channel)->list(""), IsEmpty());
  EXPECT_FALSE(fs::exists(folder() / "run"));
}

TEST_F(InterruptsOfCommands, EndThreadsToo) {
  REQUIRE_REAL_DATA();
  for (const char* workers : {"1", "3"}) {
    Command command(folder(),
                    {"train", "-q", "--data", real_data("higgs.train.libsvm"), "--workers", workers,
                     "--platform", "threads", "--channel", "memory", "--epochs", "1000000",
                     "--batch-size", "10", "--output", std::string("run-") + workers});
    ASSERT_TRUE(
        wait_for_epochs(command, folder() / (std::string("run-") + workers) / "metrics.jsonl", 2));
    interrupted(command);
  }
}

TEST_F(InterruptsOfCommands, TwiceKillsAtOnce) {
  Gate silent;
  Command command(folder(), {"storage", "ls",
                             "redis://no-such-user@127.0.0.1:" + std::to_string(silent.port())});
  ASSERT_TRUE(silent.wait(20));
  command.signal(SIGINT);
  command.signal(SIGTERM);
  const int code = command.wait().exit_code;
  EXPECT_TRUE(code == 130 || code == 128 + SIGTERM) << code;
}

}  // namespace
}  // namespace lambdaml::e2e
