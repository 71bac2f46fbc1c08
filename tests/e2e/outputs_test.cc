// What shows a job besides the terminal: the live page, numbers for Prometheus, event files for
// TensorBoard; and what the terminal itself shows.
#include <algorithm>
#include <fstream>
#include <set>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/dashboard/testing/made_run.h"
#include "lambdaml/faas/testing/hostile.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using faas::testing::RawConnection;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kPatience_s = 60;

/// The port in `…http://127.0.0.1:PORT…` after `mark`, once the text has it.
template <class Text>
std::uint16_t port_after(const std::string& mark, const Text& text) {
  const std::string before = mark + "http://127.0.0.1:";
  for (const Deadline end = Deadline::in(kPatience_s); !end.passed(); pause_for(0.02)) {
    const std::string all = text();
    const std::size_t at = all.find(before);
    if (at != std::string::npos &&
        all.find_first_not_of("0123456789", at + before.size()) != std::string::npos)
      return static_cast<std::uint16_t>(std::stoi(all.substr(at + before.size())));
  }
  ADD_FAILURE() << "no port: " << text();
  return 0;
}

std::string get(std::uint16_t port, const std::string& target) {
  RawConnection connection(
      port, "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string text = connection.receive(kPatience_s);
  return text.substr(std::min(text.find("\r\n\r\n") + 4, text.size()));
}

class Outputs : public CliTest {
 protected:
  std::string small_data() const {
    lambdaml({"data", "synth", "higgs", "--rows", "2000", "-o", "train.libsvm"});
    return "train.libsvm";
  }
  /// A job that goes on until it is stopped.
  std::vector<std::string> endless(std::vector<std::string> more = {}) const {
    std::vector<std::string> out{"train",   "--data",   small_data(), "--workers",
                                 "2",       "--optim",  "grad_avg",   "--epochs",
                                 "1000000", "--output", "runs/job",   "-q"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  fs::path metrics_file() const { return folder() / "runs/job/metrics.jsonl"; }

  static double cpu_s(pid_t pid) {
    const std::string text = read("/proc/" + std::to_string(pid) + "/stat");
    std::istringstream rest(text.substr(text.rfind(')') + 2));
    std::string word;
    for (int i = 0; i < 11; ++i) rest >> word;
    double user = 0, system = 0;
    rest >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }

  nlohmann::json events_below(const fs::path& place) const {
    std::string command = "/usr/bin/python3 -B " LAMBDAML_SOURCE_DIR "/tests/e2e/read_events.py";
    std::set<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(place))
      if (entry.is_regular_file()) files.insert(entry.path());
    for (const fs::path& file : files) command += " " + quoted_for_shell(file.string());
    const CommandResult result = run_command(command, kPatience_s, 10'000'000, "reading events");
    EXPECT_TRUE(result.succeeded()) << result.reason;
    return parse_json(result.output);
  }
};

TEST_F(Outputs, TheDashboardShowsStopsAndResumesAJob) {
  Command job(folder(), endless());
  ASSERT_TRUE(wait_for_epochs(job, metrics_file(), 2)) << job.err_so_far();
  Command server(folder(), {"dashboard", "--port", "0"});
  const std::uint16_t port = port_after("listening on ", [&] { return server.out_so_far(); });
  const auto row = [&] { return parse_json(get(port, "/api/jobs"))["rows"][0]; };
  const nlohmann::json first = row();
  EXPECT_EQ(first["state"], "running");
  EXPECT_GT(first["metrics"]["train_loss"].get<double>(), 0);
  const std::string id = first["id"];
  const auto post = [&](const std::string& action) {
    return RawConnection(port, "POST /api/" + action + "?id=" + id +
                                   " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .status();
  };
  const auto reaches = [&](const std::string& state) {
    for (const Deadline end = Deadline::in(kPatience_s); !end.passed();)
      if (row()["state"] == state) return true;
    return false;
  };
  EXPECT_EQ(post("stop"), "200");
  EXPECT_EQ(job.wait().exit_code, 130);
  EXPECT_TRUE(reaches("stopped")) << row();
  EXPECT_EQ(post("resume"), "200");
  EXPECT_TRUE(reaches("running")) << row() << read(folder() / "runs/job/resume.log");
  EXPECT_EQ(lambdaml({"stop", "runs/job"}).exit_code, 0);
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait().exit_code, 0);
}

TEST_F(Outputs, TheDashboardSaysWhatIsWrongInOneLine) {
  Command server(folder(), {"dashboard", "--port", "0", "--json"});
  const std::uint16_t port = port_after("", [&] { return server.out_so_far(); });
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"dashboard", "--port", std::to_string(port)},
        {"dashboard", "--host", "0.0.0.0"},
        {"dashboard", "--token", "nothing"},
        {"dashboard", "--port", "x"}}) {
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  }
  EXPECT_THAT(lambdaml({"dashboard", "--host", "0.0.0.0"}).err, HasSubstr("--token"));
  EXPECT_THAT(get(port, "/api/jobs"), HasSubstr("there is no such folder yet"));
  server.signal(SIGINT);
  EXPECT_EQ(server.wait().exit_code, 0);
  write("file.txt", "");
  Command of_a_file(folder(), {"dashboard", "file.txt"});
  EXPECT_THAT(get(port_after("listening on ", [&] { return of_a_file.out_so_far(); }), "/api/jobs"),
              HasSubstr("it is no folder, run or search"));
  of_a_file.signal(SIGINT);
  EXPECT_EQ(of_a_file.wait().exit_code, 0);
}

TEST_F(Outputs, TheDashboardListensOnEveryNameOfLoopback) {
  write("token", "a-token-of-this-test-0123456789\n");
  fs::permissions(folder() / "token", fs::perms::owner_read);
  for (const auto& [host, shown] : std::vector<std::pair<std::string, std::string>>{
           {"::1", "[::1]"}, {"127.0.0.1", "127.0.0.1"}, {"localhost", "localhost"}}) {
    std::vector<std::string> arguments{"dashboard", "--host", host};
    if (host != "127.0.0.1") arguments.insert(arguments.end(), {"--token", "token"});
    Command server(folder(), arguments);
    const std::string begin = "listening on http://" + shown + ":";
    for (const Deadline end = Deadline::in(kPatience_s); !end.passed(); pause_for(0.02))
      if (server.out_so_far().find(begin) != std::string::npos) break;
    server.signal(SIGINT);
    const Result result = server.wait();
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, HasSubstr(begin));
    EXPECT_EQ(result.err, "") << "loopback needs no encryption";
  }
}

/// The cost of watching 50 jobs that each end an epoch a second, with 20 pages open. The limit has
/// room for a loaded machine; docs/how-to/dashboard.md has what was measured.
TEST_F(Outputs, TheDashboardOfFiftyRunningJobsTakesLittleTime) {
  fs::create_directories(folder() / "runs");
  std::vector<std::unique_ptr<dashboard::MadeRun>> runs;
  for (int i = 0; i < 50; ++i)
    runs.push_back(std::make_unique<dashboard::MadeRun>(
        folder() / "runs" / std::to_string(i), folder() / "channel" / std::to_string(i),
        "20261129-101500-" + std::to_string(100'000'000'000 + i), 4));
  Command server(folder(), {"dashboard"});
  const std::uint16_t port = port_after("listening on ", [&] { return server.out_so_far(); });
  std::vector<std::unique_ptr<RawConnection>> pages;
  for (int i = 0; i < 20; ++i)
    pages.push_back(std::make_unique<RawConnection>(
        port, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const auto read_all = [&] {
    std::size_t bytes = 0;
    for (const auto& page : pages) bytes += page->receive(0, 1 << 20).size();
    return bytes;
  };
  std::uint64_t epoch = 0;
  const auto go_on = [&] {
    ++epoch;
    for (const auto& run : runs) run->end_epoch(epoch, 1.0 / static_cast<double>(epoch));
    pause_for(1);
    read_all();
  };
  for (int i = 0; i < 3; ++i) go_on();
  const double before_s = cpu_s(server.pid());
  const Stopwatch clock;
  for (int i = 0; i < 10; ++i) go_on();
  const double share = (cpu_s(server.pid()) - before_s) / clock.seconds();
  RecordProperty("percent_of_a_core", std::to_string(100 * share));
  std::printf("50 running jobs, 20 pages: %.1f %% of a core\n", 100 * share);
  EXPECT_LT(share, 0.05);
  EXPECT_EQ(parse_json(get(port, "/api/jobs"))["rows"].size(), 50U);
}

TEST_F(Outputs, AJobServesItsNumbersAndItsPage) {
  Command job(folder(), endless({"--metrics-port", "0", "--dashboard"}));
  const auto err = [&] { return job.err_so_far(); };
  const std::uint16_t port = port_after("metrics on ", err);
  const std::uint16_t page = port_after("dashboard on ", err);
  ASSERT_TRUE(wait_for_epochs(job, metrics_file(), 2));
  const std::string text = get(port, "/metrics");
  for (const char* name : {"lambdaml_job_epoch{", "lambdaml_job_epochs{", "lambdaml_job_workers{",
                           "lambdaml_job_cost_dollars{", "lambdaml_job_left_seconds{",
                           "metric=\"train_loss\"}", "lambdaml_job_failed_attempts_total{"})
    EXPECT_THAT(text, HasSubstr(name));
  RawConnection foreign(port, "GET /metrics HTTP/1.1\r\nHost: a.example\r\n\r\n");
  EXPECT_EQ(foreign.status(), "403");
  EXPECT_THAT(get(page, "/"), HasSubstr("LambdaML dashboard"));
  EXPECT_EQ(parse_json(get(page, "/api/jobs"))["rows"][0]["state"], "running");
  const Result taken = lambdaml({"train", "--data", "train.libsvm", "--metrics-port",
                                 std::to_string(port), "--output", "other"});
  EXPECT_THAT(taken.err, HasSubstr(": the port is in use; give another"));
  EXPECT_EQ(taken.exit_code, 2) << taken.err;
  EXPECT_FALSE(fs::exists(folder() / "other"));
  EXPECT_EQ(lambdaml({"stop", "runs/job"}).exit_code, 0);
}

TEST_F(Outputs, SearchesAndTheEmulatorServeNumbers) {
  write("search.yaml",
        "data: " + small_data() +
            "\nworkers: 1\nepochs: 100000\noptim: grad_avg\n"
            "tune: {strategy: grid, concurrency: 1, space: {lr: {choice: [0.1, 1]}}}\n");
  Command search(folder(), {"tune", "search.yaml", "--output", "search", "--metrics-port", "0"});
  const std::uint16_t port = port_after("metrics on ", [&] { return search.err_so_far(); });
  std::string text;
  for (const Deadline end = Deadline::in(kPatience_s);
       !end.passed() && text.find("state=\"running\"} 1") == std::string::npos;)
    text = get(port, "/metrics");
  EXPECT_THAT(text, HasSubstr("lambdaml_search_trials{search=\"search\",state=\"running\"} 1"));
  search.signal(SIGINT);
  EXPECT_EQ(search.wait().exit_code, 130);

  Command emulator(folder(), {"emulate", "--metrics-port", "0"});
  const std::uint16_t other = port_after("metrics on ", [&] { return emulator.err_so_far(); });
  EXPECT_THAT(get(other, "/metrics"), HasSubstr("lambdaml_emulator_functions 0"));
  emulator.signal(SIGTERM);
  EXPECT_EQ(emulator.wait().exit_code, 0);
}

TEST_F(Outputs, TensorBoardReadsAJobAndWhatContinuesIt) {
  const nlohmann::json summary =
      train({"--data", small_data(), "--workers", "2", "--optim", "grad_avg", "--epochs", "4",
             "--stop-after", "2", "--tensorboard", "board", "--output", "run"});
  ASSERT_EQ(summary["ended_by"], "stop_after");
  ASSERT_EQ(lambdaml({"resume", "run"}).exit_code, 0);
  const nlohmann::json events = events_below(folder() / "board" / summary["job_id"]);
  EXPECT_EQ(events["versions"], nlohmann::json({"brain.Event:2", "brain.Event:2"}));
  EXPECT_EQ(events["restarts"], nlohmann::json::array({3}));
  std::ifstream lines(folder() / "run/metrics.jsonl");
  std::size_t epoch = 0;
  for (std::string line; std::getline(lines, line); ++epoch) {
    const nlohmann::json known = parse_json(line);
    for (const auto& [name, tag] :
         {std::pair("train_loss", "loss/train"), {"valid_accuracy", "accuracy/valid"}}) {
      ASSERT_GT(events["scalars"][tag].size(), epoch);
      EXPECT_EQ(events["scalars"][tag][epoch][0], known["epoch"]);
      EXPECT_FLOAT_EQ(events["scalars"][tag][epoch][1].get<float>(), known[name].get<float>());
    }
  }
  EXPECT_EQ(epoch, 4U);
  const nlohmann::json coefficients = lambdaml({"model", "run", "--json"}).json();
  double num = 0;
  ASSERT_GE(events["histograms"].size(), 1U);
  for (const auto& [tag, values] : events["histograms"].items()) {
    EXPECT_THAT(tag, ::testing::StartsWith("weights/"));
    const nlohmann::json& last = values.back();
    EXPECT_EQ(last[0], 4);
    double counts = 0;
    for (const nlohmann::json& count : last[1]["counts"]) counts += count.get<double>();
    EXPECT_EQ(counts, last[1]["num"].get<double>());
    EXPECT_EQ(last[1]["limits"].back(), last[1]["max"]);
    num += counts;
  }
  EXPECT_GE(num, 28);
}

TEST_F(Outputs, AnEventFileThatCannotBeWrittenEndsTheJobBeforeItBegins) {
  write("file", "no folder");
  const Result result = lambdaml({"train", "--data", small_data(), "--tensorboard", "file/board",
                                  "--output", "run", "--json"});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_EQ(result.json()["code"], "invalid_argument");
  EXPECT_FALSE(fs::exists(folder() / "run"));
}

TEST_F(Outputs, AJobElsewhereLeavesItsEpochsWithItsCheckpoints) {
  const std::string place = "file://" + (folder() / "store").string();
  Command job(folder(), endless({"--checkpoint", place}));
  ASSERT_TRUE(wait_for_epochs(job, metrics_file(), 2)) << job.err_so_far();
  const std::string id = lambdaml({"ls", place, "--json"}).json()["runs"][0]["job_id"];
  nlohmann::json status;
  for (const Deadline end = Deadline::in(kPatience_s);
       !end.passed() && !status.contains("metrics");)
    status = lambdaml({"status", place + "/" + id, "--json"}).json();
  EXPECT_GT(status["metrics"]["train_loss"].get<double>(), 0) << status;
  for (const char* name : {"elapsed_s", "left_s", "cost_so_far_usd", "cost_usd_at_end"})
    EXPECT_GT(status[name].get<double>(), 0) << name;
  const Result text = lambdaml({"status", place + "/" + id}, {"LC_ALL=C.UTF-8"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("train_loss"), HasSubstr("left"), HasSubstr("$")));
  EXPECT_THAT(lambdaml({"ls", place}).out, HasSubstr("~$"));
  EXPECT_EQ(lambdaml({"report", place + "/" + id, "-o", "page.html"}).exit_code, 0);
  EXPECT_THAT(read(folder() / "page.html"), HasSubstr("\"curves\":{\"epochs\":"));
  EXPECT_EQ(lambdaml({"stop", place + "/" + id}).exit_code, 0);
}

TEST_F(Outputs, StatusWatchesAJobToItsEnd) {
  Command job(folder(), endless());
  ASSERT_TRUE(wait_for_epochs(job, metrics_file(), 2));
  Command watch(folder(), {"status", "--watch", "runs/job", "--json"});
  pause_for(0.5);
  EXPECT_TRUE(watch.runs());
  EXPECT_EQ(lambdaml({"stop", "runs/job"}).exit_code, 0);
  const Result result = watch.wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.json()["state"], "stopped");
}

TEST_F(Outputs, WithJsonAFailureIsAnObjectToo) {
  for (const auto& [arguments, code] :
       {std::pair(std::vector<std::string>{"train", "--data", "nothing", "--json"}, "not_found"),
        {{"status", "nothing", "--json"}, "not_found"},
        {{"--json", "model", "nothing"}, "not_found"},
        {{"train", "--bogus", "--json"}, "invalid_argument"},
        {{"bogus", "--json"}, "invalid_argument"}}) {
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    const nlohmann::json object = result.json();
    EXPECT_EQ(object["code"], code) << object;
    EXPECT_EQ(object["exit_code"], 2);
    EXPECT_EQ("lambdaml: " + object["error"].get<std::string>() + "\n", result.err);
  }
  EXPECT_EQ(lambdaml({"status", "nothing"}).out, "");
}

TEST_F(Outputs, HelpIsGroupedAndFitsEightyColumns) {
  const Result result = lambdaml({"--help"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("Train and search:"), HasSubstr("Watch jobs:")));
  const Result train = lambdaml({"train", "--help"});
  EXPECT_THAT(train.out, AllOf(HasSubstr("\nData:\n"), HasSubstr("\nTraining:\n"),
                               HasSubstr("\nResults:\n"), Not(HasSubstr("\nOptions:\n  --data"))));
  for (const std::string& text : {result.out, train.out}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      // A character of UTF-8 takes a column.
      std::erase_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; });
      EXPECT_LE(line.size(), line.find(' ', 26) == std::string::npos ? 200U : 80U) << line;
    }
  }
}

/// The dashboard file for Grafana draws numbers that exist.
TEST_F(Outputs, GrafanaDrawsWhatIsServed) {
  const nlohmann::json board = parse_json(read(LAMBDAML_SOURCE_DIR "/deploy/grafana.json"));
  ASSERT_TRUE(board.is_object());
  std::set<std::string> drawn;
  for (const nlohmann::json& panel : board["panels"])
    for (const nlohmann::json& target : panel.value("targets", nlohmann::json::array())) {
      const std::string text = target["expr"];
      for (std::size_t at = 0; (at = text.find("lambdaml_", at)) != std::string::npos;) {
        const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
        drawn.insert(text.substr(at, end - at));
        at = std::min(end, text.size());
      }
    }
  EXPECT_GE(drawn.size(), 8U);
  std::string sources;
  for (const char* file : {"view/job_metrics.cc", "dashboard/metrics.cc", "dashboard/live_views.cc",
                           "ps/server/metrics.cc", "faas/emulator/lambda_service.cc"})
    sources += read(fs::path(LAMBDAML_SOURCE_DIR) / "src/lambdaml" / file);
  for (const std::string& name : drawn) EXPECT_THAT(sources, HasSubstr("\"" + name + "\""));
}

/// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
TEST_F(Outputs, TheTraceIsInTheFormatOfChrome) {
  train({"--data", small_data(), "--workers", "2", "--epochs", "3", "--optim", "grad_avg",
         "--output", "run"});
  ASSERT_EQ(lambdaml({"report", "run", "-o", "page.html", "--trace", "trace.json"}).exit_code, 0);
  const nlohmann::json trace = parse_json(read(folder() / "trace.json"));
  ASSERT_TRUE(trace["traceEvents"].is_array());
  std::set<std::string> threads, named;
  std::map<std::string, double> end_of_thread;
  std::size_t complete = 0;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    const std::string phase = event["ph"];
    ASSERT_TRUE(phase == "X" || phase == "M" || phase == "i" || phase == "I") << event;
    ASSERT_TRUE(event["name"].is_string() && event["pid"].is_number_integer()) << event;
    const std::string thread =
        event["pid"].dump() + "/" + event.value("tid", nlohmann::json()).dump();
    if (phase == "M") {
      ASSERT_TRUE(event["args"].is_object()) << event;
      if (event["name"] == "thread_name") named.insert(thread);
      continue;
    }
    ASSERT_TRUE(event["ts"].is_number()) << event;
    if (phase != "X") continue;
    ASSERT_GE(event["dur"].get<double>(), 0) << event;
    ++complete;
    threads.insert(thread);
  }
  EXPECT_EQ(threads.size(), 2U);
  EXPECT_TRUE(std::ranges::includes(named, threads));
  EXPECT_GT(complete, 6U);
}

}  // namespace
}  // namespace lambdaml::e2e
