// `lambdaml ps` as others meet it: clients and servers of the original, jobs that outlive it,
// secrets, what Prometheus reads.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "integration/ps_fixture.h"
#include "integration/servers.h"
#include "integration/talk.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/ps/testing/test_support.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class ParameterServer : public PsTest {
 protected:
  std::string generated_python() const {
    servers::run(
        {servers::find_program("thrift").string(), "--gen", "py", "-out", folder().string(),
         LAMBDAML_SOURCE_DIR "/tests/integration/original_parameter_server.thrift"},
        folder(), "thrift.log", Deadline::in(60));
    return folder().string();
  }
  std::vector<std::string> python(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {python_with_thrift(), "-u",
                                         LAMBDAML_SOURCE_DIR "/tests/integration/ps_clients.py"});
    return arguments;
  }
  /// The first Python that has python3-thrift: it need not be the one in PATH.
  static std::string python_with_thrift() {
    for (const std::string& python :
         {servers::find_program("python3").string(), std::string("/usr/bin/python3")})
      if (!python.empty() && std::system((python + " -c 'import thrift' 2>/dev/null").c_str()) == 0)
        return python;
    return {};
  }
  std::vector<std::string> job(const std::string& channel) const {
    return {"--data",       real_data("higgs.train.libsvm"),
            "--workers",    "3",
            "--epochs",     "100",
            "--batch-size", "100",
            "--patience-s", "30",
            "--channel",    channel};
  }
};

#define REQUIRE_PYTHON_THRIFT() \
  REQUIRE_OR_SKIP(!python_with_thrift().empty(), "no python3-thrift here")

TEST_F(ParameterServer, TrainsWithClientsOfTheOriginal) {
  REQUIRE_PYTHON_THRIFT();
  const int port = servers::free_port();
  const auto server = serve({}, port);
  servers::run(python({"train", "127.0.0.1", std::to_string(port), generated_python()}), folder(),
               "clients.log", Deadline::in(100));
  EXPECT_THAT(read(folder() / "clients.log"), HasSubstr("all trained"));
}

TEST_F(ParameterServer, OurClientTalksToAServerOfTheOriginal) {
  REQUIRE_PYTHON_THRIFT();
  const auto server = start(python({"serve", generated_python()}), "original.log", "listening on ");
  ps::Address address;
  address.host = "127.0.0.1";
  const std::string said = read(folder() / "original.log");
  address.port = static_cast<std::uint16_t>(std::stoi(said.substr(said.find("on ") + 3)));
  ps::Client client(address);
  EXPECT_TRUE(client.original());
  client.ping();
  EXPECT_FALSE(client.exists("m"));
  client.register_model("m", 70'000, 1);
  std::vector<float> model = client.pull("m", 0, 0);
  ASSERT_EQ(model.size(), 70'000U);
  EXPECT_TRUE(client.can_push("m", 0, 0));
  client.push("m", -0.5, std::vector<float>(70'000, 3), 0, 0);
  EXPECT_TRUE(client.can_pull("m", 1, 0));
  EXPECT_THAT(client.pull("m", 1, 0), testing::Each(-1.5F));
  EXPECT_THROW(client.put("key", {}), Error);
  REQUIRE_REAL_DATA();
  const Result result = lambdaml({"train", "-q", "--data", real_data("higgs.train.libsvm"),
                                  "--channel", "ps://127.0.0.1:" + std::to_string(address.port)});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("lambdaml ps"));
}

TEST_F(ParameterServer, AJobOutlivesItsKill) {
  REQUIRE_REAL_DATA();
  const std::string expected = read(train(job("file")).at("model_path").get<std::string>());
  const int port = servers::free_port();
  auto server = serve({"--dir", "state", "--interval", "0.05"}, port);
  std::vector<std::string> arguments = job("ps://127.0.0.1:" + std::to_string(port));
  arguments.insert(arguments.begin(), {"train", "--json", "-q", "--output", "run"});
  Command command(folder(), arguments);
  const Deadline patience = Deadline::in(60);
  for (int kills = 0; kills < 3; ++kills) {
    const auto epochs = [&] {
      const std::string lines = read(folder() / "run" / "metrics.jsonl");
      return std::count(lines.begin(), lines.end(), '\n');
    };
    const auto now = epochs();
    while (epochs() < now + 5 && !patience.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    server->kill();
    server = serve({"--dir", "state", "--interval", "0.05"}, port);
  }
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(result.json().at("model_path").get<std::string>()), expected);
}

TEST_F(ParameterServer, IsWaitedForByAWorkerThatBeginsWhileItIsAway) {
  REQUIRE_REAL_DATA();
  const int port = servers::free_port();
  const std::vector<std::string> kept = {"--dir", "state", "--interval", "0.05"};
  std::unique_ptr<servers::Process> server = serve(kept, port);
  const std::string expected = read(train(job("file")).at("model_path").get<std::string>());
  std::vector<std::string> arguments = job("ps://127.0.0.1:" + std::to_string(port));
  arguments.insert(arguments.begin(), {"train", "--json", "-q", "--output", "run"});
  Command command(folder(), arguments);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 2));
  const std::vector<pid_t> workers = command.workers();
  ASSERT_EQ(workers.size(), 3U);
  server->kill();
  ::kill(workers[1], SIGKILL);
  std::this_thread::sleep_for(std::chrono::seconds(5));
  server = serve(kept, port);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(read(folder() / "run" / "model.safetensors") == expected);
}

TEST_F(ParameterServer, AJobOfManyInvocationsOutlivesAKillWhereThereIsAFolder) {
  REQUIRE_REAL_DATA();
  const std::string expected = read(train(job("file")).at("model_path").get<std::string>());
  for (const bool with_folder : {true, false}) {
    const std::vector<std::string> options =
        with_folder ? std::vector<std::string>{"--dir", "state"} : std::vector<std::string>{};
    const std::string run = with_folder ? "kept" : "lost";
    const int port = servers::free_port();
    auto server = serve(options, port);
    std::vector<std::string> arguments = job("ps://127.0.0.1:" + std::to_string(port));
    arguments.insert(arguments.begin(),
                     {"train", "--json", "-q", "--run-epochs", "5", "--output", run});
    Command command(folder(), arguments);
    ASSERT_TRUE(wait_for_epochs(command, folder() / run / "metrics.jsonl", 20));
    server->kill();
    server = serve(options, port);
    Result result = command.wait();
    if (!with_folder) {
      // An invocation that begins finds nothing of its job: it is said so, and how to go on.
      EXPECT_EQ(result.exit_code, 1) << result.err;
      EXPECT_THAT(result.err, HasSubstr("lambdaml resume"));
      result = lambdaml({"resume", run, "--json", "-q"});
    }
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(read(result.json().at("model_path").get<std::string>()), expected) << run;
  }
}

TEST_F(ParameterServer, SavesOnSigtermAndSaysThatItsPortIsTaken) {
  const int port = servers::free_port();
  const std::vector<std::string> arguments = {"ps", "--port", std::to_string(port), "--dir",
                                              "state"};
  ps::Address address;
  address.host = "127.0.0.1";
  address.port = static_cast<std::uint16_t>(port);
  {
    Command command(folder(), arguments);
    const Deadline patience = Deadline::in(60);
    while (command.out_so_far().empty() && !patience.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(command.out_so_far(), "listening on 127.0.0.1:" + std::to_string(port) + "\n");
    ps::Client client(address);
    client.register_vector({.id = "m", .length = 3, .workers = 1});
    client.push("m", 1, std::vector<float>{1, 2, 3}, 0, 0);
    const Result taken = lambdaml(arguments);
    EXPECT_EQ(taken.exit_code, 2);
    EXPECT_EQ(std::count(taken.err.begin(), taken.err.end(), '\n'), 1) << taken.err;
    EXPECT_THAT(taken.err, HasSubstr(std::to_string(port)));
    command.signal(SIGTERM);
    EXPECT_EQ(command.wait().exit_code, 0);
  }
  const auto server = serve({"--dir", "state"}, port);
  ps::Client client(address);
  EXPECT_THAT(client.pull("m", 0, 0), testing::ElementsAre(1, 2, 3));
}

TEST_F(ParameterServer, IsMeasuredWithOneWorkerToo) {
  const int port = servers::free_port();
  const auto server = serve({}, port);
  const Result result =
      lambdaml({"bench", "comm", "--channel", "ps://127.0.0.1:" + std::to_string(port), "--workers",
                "1", "--bytes", "40000", "--rounds", "5", "--json", "-q"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.json().at("bytes"), 80000);  // there and back
  EXPECT_EQ(result.json().at("bitwise_equal"), true);
}

TEST_F(ParameterServer, ItsMemoryStaysFlatUnderTwoHundredClients) {
  constexpr std::uint32_t kClients = kSanitized ? 40 : 200;
  constexpr std::uint32_t kTurns = 25;
  constexpr std::size_t kN = 20'000;
  const int port = servers::free_port();
  const auto server = serve({}, port);
  const ps::Address address = ps::address_of(Uri::parse("ps://127.0.0.1:" + std::to_string(port)));
  ps::Client(address).register_vector({.id = "m", .length = kN, .workers = kClients});
  // Each client pushes and pulls a model, and takes part in the rounds of a job of four workers.
  const auto work = [&](std::uint32_t pass) {
    ps::on_threads(kClients, [&](std::uint32_t w) {
      ps::Client client(address);
      for (std::uint32_t turn = pass * kTurns; turn < (pass + 1) * kTurns; ++turn) {
        client.push("m", 1, std::vector<float>(kN, 1), turn, w);
        if (client.pull("m", turn, w).size() != kN) fail(Code::internal, "a short model");
        ps::Part part{.id = "job-" + std::to_string(w / 4) + "/rounds", .round = turn};
        part.worker = w % 4;
        part.workers = 4;
        part.retired = turn;
        part.wait_ms = 60'000;
        const auto mine = std::vector<float>(kN, static_cast<float>(w % 4));
        if (ps::exchange(client, part, mine).values != std::vector<float>(kN, 6))
          fail(Code::internal, "a wrong sum");
      }
    });
  };
  // 10,000 pushes and as many pulls a pass, with 80 KB each.
  work(0);
  const std::size_t first = resident_memory(server->pid());
  ASSERT_GT(first, 0U);
  for (std::uint32_t pass = 1; pass < 5; ++pass) work(pass);
  const std::size_t last = resident_memory(server->pid());
  // What a pass holds at once differs by some megabytes. Had one push in fifty stayed, it were 64.
  EXPECT_LT(last, first + 48 * 1024) << first;
}

TEST_F(ParameterServer, TellsPrometheusWhatItDoes) {
  const int port = servers::free_port();
  const int metrics = servers::free_port();
  const auto server = serve({"--metrics-port", std::to_string(metrics)}, port);
  ps::Address address;
  address.host = "127.0.0.1";
  address.port = static_cast<std::uint16_t>(port);
  ps::Client client(address);
  client.register_vector({.id = "m", .length = 1000, .workers = 1});
  client.push("m", 1, std::vector<float>(1000), 0, 0);
  client.push("m", 1, std::vector<float>(1000), 0, 0);
  const std::string page = servers::talk(
      metrics, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  for (const char* line :
       {"\nlambdaml_ps_models 1\n", "\nlambdaml_ps_pushes_total 1\n",
        "\nlambdaml_ps_repeated_pushes_total 1\n", "\nlambdaml_ps_received_bytes_total 8000\n",
        "\nlambdaml_ps_connections 1\n", "\nlambdaml_ps_update_seconds_count 1\n"})
    EXPECT_THAT(page, HasSubstr(line));
}

TEST_F(ParameterServer, ATokenAndTlsKeepStrangersOut) {
  REQUIRE_REAL_DATA();
  REQUIRE_OR_SKIP(!servers::find_program("openssl").empty(), "no openssl here");
  servers::run(
      {servers::find_program("openssl").string(), "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
       "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"},
      folder(), "openssl.log", Deadline::in(60));
  const std::string secret = "hunter2";
  write("token", secret + "\n");
  const int port = servers::free_port();
  const auto server = serve(
      {"--host", "127.0.0.1", "--token", "token", "--tls-cert", "cert.pem", "--tls-key", "key.pem"},
      port);
  const std::string channel = fmt::format("ps://127.0.0.1:{}/jobs?tls=1", port);
  std::vector<std::string> arguments = {
      "train",    "-q", "--json",    "--data", real_data("higgs.train.libsvm"), "--workers", "2",
      "--epochs", "1",  "--channel", channel};
  const std::vector<std::string> ca = {"LAMBDAML_PS_CA=" + (folder() / "cert.pem").string()};
  const std::vector<std::string> all = {ca[0], "LAMBDAML_PS_TOKEN=" + secret};
  const Result welcome = lambdaml(arguments, all);
  EXPECT_EQ(welcome.exit_code, 0) << welcome.err;
  const Result stranger = lambdaml(arguments, ca);
  EXPECT_EQ(stranger.exit_code, 2) << stranger.err;
  EXPECT_THAT(stranger.err, HasSubstr("LAMBDAML_PS_TOKEN"));
  const Result distrusts = lambdaml(arguments, {all[1]});
  EXPECT_EQ(distrusts.exit_code, 2) << distrusts.err;
  for (const Result* result : {&welcome, &stranger, &distrusts})
    EXPECT_THAT(result->out + result->err, Not(HasSubstr(secret)));
}

/// The job's workers are stopped, and continue with a server that knows nothing of them.
void go_on_in_an_empty_place(const comm::Job& job,
                             std::span<std::unique_ptr<comm::Communicator>> communicators) {
  for (std::uint32_t w = 0; w < communicators.size(); ++w) {
    const std::vector<double> saved = communicators[w]->snapshot();
    const std::uint64_t round = communicators[w]->round();
    communicators[w] = job.communicator(w);
    communicators[w]->restore(saved);
    communicators[w]->seek(round);
  }
  storage::open(job.uri)->clear("");
}

TEST_F(ParameterServer, WorkersThatDoNotWaitBringAllAgainWhenTheServerHasLostIt) {
  constexpr std::uint32_t kWorkers = 3;
  const int port = servers::free_port();
  auto server = serve({}, port);
  const comm::Job job{.pattern = "async",
                      .workers = kWorkers,
                      .n = 2000,
                      .uri = "ps://127.0.0.1:" + std::to_string(port)};
  std::vector<std::unique_ptr<comm::Communicator>> communicators(kWorkers);
  std::vector<double> sums(kWorkers);
  std::vector<std::size_t> counts(kWorkers);
  const auto merge = [&](std::uint32_t w, std::uint64_t rounds, bool finish) {
    // Whole numbers, whose sum in any order is exact: worker w brings w + 1.
    comm::Numbers mine;
    const auto add = [&](std::size_t merged) {
      counts[w] += merged;
      sums[w] += mine.values.back();
    };
    for (std::uint64_t i = 0; i < rounds; ++i) {
      mine = {std::vector<float>(job.n, static_cast<float>(w + 1)), {1.0}};
      add(communicators[w]->merge(mine.view(), comm::Meaning::increment));
    }
    if (!finish) return;
    mine = {std::vector<float>(job.n), {0.0}};
    add(communicators[w]->finish(mine.view()));
  };
  const auto all = [&](std::uint64_t rounds, bool finish) {
    EXPECT_THAT(comm::on_threads(kWorkers, [&](std::uint32_t w) { merge(w, rounds, finish); }),
                testing::Each(""));
  };
  for (std::uint32_t w = 0; w < kWorkers; ++w) communicators[w] = job.communicator(w);
  all(4, false);
  server->kill();
  server = serve({}, port);
  all(4, false);
  // And when the whole job goes on in a place that was cleared.
  go_on_in_an_empty_place(job, communicators);
  all(4, true);
  EXPECT_THAT(sums, testing::Each(12.0 * (1 + 2 + 3)));
  EXPECT_THAT(counts, testing::Each(testing::Ge(12 * kWorkers)));
}

TEST_F(ParameterServer, AWorkerAtItsEndBringsWhatOthersStillNeedOfItAgain) {
  const int port = servers::free_port();
  const auto server = serve({}, port);
  const comm::Job job{.pattern = "async",
                      .workers = 2,
                      .n = 10,
                      .uri = "ps://127.0.0.1:" + std::to_string(port),
                      .patience_s = 20};
  std::unique_ptr<comm::Communicator> communicators[2];
  const auto merge = [&](std::uint32_t w, double x) {
    std::vector<double> total = {x};
    communicators[w]->merge({{}, total}, comm::Meaning::increment);
    return total[0];
  };
  for (std::uint32_t w = 0; w < 2; ++w) communicators[w] = job.communicator(w);
  EXPECT_EQ(merge(0, 7), 7);
  EXPECT_EQ(merge(1, 5), 12);
  // The job goes on in a place that was cleared: one worker had come to its end, one is on its way.
  go_on_in_an_empty_place(job, communicators);
  comm::Numbers states[2] = {{{10}, {100}}, {{1}, {2}}};
  EXPECT_THAT(comm::on_threads(
                  2,
                  [&](std::uint32_t w) {
                    if (w == 1) {
                      EXPECT_EQ(merge(1, 3), 3);
                    }
                    EXPECT_EQ(communicators[w]->finish(states[w].view(), comm::Meaning::state), 2U);
                  }),
              testing::Each(""));
  for (const comm::Numbers& state : states) {
    EXPECT_THAT(state.values, testing::ElementsAre(11));
    EXPECT_THAT(state.totals, testing::ElementsAre(102));
  }
}

TEST_F(ParameterServer, ABoundOnStalenessIsKeptByAJob) {
  REQUIRE_REAL_DATA();
  const int port = servers::free_port();
  const auto server = serve({}, port);
  const nlohmann::json summary =
      train({"--data", real_data("agaricus.train.libsvm"), "--workers", "4", "--epochs", "10",
             "--lr", "1", "--batch-size", "100", "--sync-mode", "async", "--staleness", "2",
             "--channel", "ps://127.0.0.1:" + std::to_string(port)});
  EXPECT_GE(summary.at("valid_accuracy"), 0.97);
  const Result refused = lambdaml({"train", "-q", "--data", real_data("agaricus.train.libsvm"),
                                   "--staleness", "2", "--channel", "file"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("staleness"));
}

}  // namespace
}  // namespace lambdaml::e2e
