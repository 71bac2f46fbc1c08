// What others wrote (records, logs, names) is printed so that a terminal only shows it: no escape
// sequence, no forged line, no turned direction; JSON keeps its value.
#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "lambdaml/base/text.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Sets a title, clears the screen, begins a sequence by its one-byte form (C1), turns the
/// direction, goes back to the line's begin, forges a line.
const std::string kEvil =
    "a\x1b]0;title\x07\x1b[2J\xc2\x9b"
    "31m\xe2\x80\xae\x7f\r\nstate: done\xc2\x85";
/// What a file's name can have of it and a key may: no control characters of ASCII.
const std::string kEvilKey =
    "a\xc2\x9b"
    "31m\xe2\x80\xae"
    "b";
const std::string kHarmless = "Grüße\t模型";

/// Whether a terminal shows it as it is: lines, tabs, and nothing that printable() would escape.
bool is_harmless(const std::string& text) { return printable_text(text) == text; }

class OnTheTerminal : public CliTest {
 protected:
  /// Runs it with and without --json; what both printed.
  std::string run(std::vector<std::string> arguments, int exit_code) const {
    std::string all;
    for (const bool as_json : {false, true}) {
      if (as_json) arguments.push_back("--json");
      const Result result = lambdaml(arguments);
      EXPECT_EQ(result.exit_code, exit_code) << printable(result.err, 1000);
      EXPECT_TRUE(is_harmless(result.out)) << printable(result.out, 4000);
      EXPECT_TRUE(is_harmless(result.err)) << printable(result.err, 4000);
      if (exit_code == 0 && as_json) json_ = result.json();
      all += result.out + result.err;
    }
    return all;
  }
  void write_json(const std::string& name, const json& value) const { write(name, value.dump()); }

  mutable json json_;  ///< of the last run()
};

TEST_F(OnTheTerminal, RecordsOfJobsMoveNoCursorAndForgeNoLine) {
  fs::create_directories(folder() / "kept/job");
  write_json("kept/job/job.json", {{"workers", 2},
                                   {"channel", "memory://x"},
                                   {"model", kEvil},
                                   {"optim", kEvil},
                                   {"sync_mode", kEvil},
                                   {"platform", kEvil},
                                   {"epochs", 3}});
  const std::string uri = "file://" + (folder() / "kept").string();
  const std::string running = run({"status", uri + "/job"}, 0);
  EXPECT_THAT(running, HasSubstr("\\x1b"));
  EXPECT_EQ(json_["model"], kEvil) << "JSON keeps its value";
  EXPECT_THAT(running, Not(HasSubstr("\nstate: done")));
  run({"ls", uri}, 0);
  EXPECT_THAT(run({"ls", "kept"}, 0), Not(HasSubstr("\nstate: done")));

  write_json("kept/job/ended.json", {{"state", kEvil}, {"error", kEvil}});
  EXPECT_THAT(run({"status", uri + "/job"}, 0), Not(HasSubstr("\nstate: done")));
  EXPECT_EQ(json_["error"], kEvil);
  run({"ls", uri}, 0);
  run({"stop", uri + "/job"}, 2);
  write_json("kept/job/summary.json", {{"model", kEvil},
                                       {"optim", kEvil},
                                       {"sync_mode", kEvil},
                                       {"ended_by", kEvil},
                                       {"model_path", kEvil}});
  EXPECT_THAT(run({"status", uri + "/job"}, 0), Not(HasSubstr("\nstate: done")));
  EXPECT_EQ(json_["summary"]["model_path"], kEvil);
}

TEST_F(OnTheTerminal, LinesOfLogsStayLines) {
  fs::create_directories(folder() / "kept/job/log");
  write_json("kept/job/job.json", {{"workers", 1}, {"channel", "memory://x"}});
  write_json("kept/job/ended.json", {{"state", "failed"}});
  write("kept/job/log/worker-0", kEvil + "\n" + kHarmless + "\n\xff\n");
  const std::string uri = "file://" + (folder() / "kept/job").string();
  const std::string logs = run({"logs", uri}, 0);
  EXPECT_THAT(
      logs, AllOf(HasSubstr("worker-0 a\\x1b]0;title"), HasSubstr("worker-0 state: done\\xc2\\x85"),
                  HasSubstr("\\xff"), HasSubstr("worker-0 " + kHarmless + "\n")));
  EXPECT_EQ(json_["logs"][0]["lines"][2], kHarmless);
  run({"logs", uri, "--worker", "0", "-f"}, 0);
}

TEST_F(OnTheTerminal, NamesOfFoldersAndKeysAreShownAsTheyAre) {
  const std::string runs = "runs " + kEvil;
  fs::create_directories(folder() / runs / "one");
  write_json(runs + "/one/run.json", {{"job_id", kEvil}});
  run({"ls", runs}, 0);
  EXPECT_EQ(json_["runs"][0]["run"], runs + "/one");
  run({"status", runs + "/one"}, 2);
  run({"resume", runs + "/one"}, 2);
  fs::create_directories(folder() / "empty\x1b[2J");
  run({"ls", "empty\x1b[2J"}, 0);

  fs::create_directories(folder() / "store");
  write("store/" + kEvilKey, "value");
  EXPECT_THAT(run({"storage", "ls", "store"}, 0), HasSubstr("\\xe2\\x80\\xae"));
  EXPECT_EQ(json_["keys"][0]["key"], kEvilKey);
  run({"storage", "get", "store", kEvilKey + "x"}, 2);
  EXPECT_EQ(lambdaml({"storage", "get", "store", kEvilKey}).out, "value");
  write("store/raw", kEvil);
  EXPECT_EQ(lambdaml({"storage", "get", "store", "raw"}).out, kEvil) << "data are data";
}

TEST_F(OnTheTerminal, ErrorsAreOneLine) {
  write("data.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:1\n");
  write("job.yaml", "\"a\\u001b[2J\": 1\n");
  write("m.safetensors", kEvil);
  const std::vector<std::vector<std::string>> commands = {
      {"status", kEvil},
      {"tra" + kEvil},
      {"train", "--data", kEvil, "-q"},
      {"train", "--data", "data.libsvm", "--" + kEvil, "1"},
      {"train", "--data", "data.libsvm", "--model", kEvil},
      {"train", "--data", "data.libsvm", "--workers", kEvil},
      {"train", "--data", "data.libsvm", "--until", kEvil},
      {"train", "--data", "data.libsvm", "--set", kEvil},
      {"train", "--data", "data.libsvm", "--output", "data.libsvm/" + kEvil},
      {"train", "job.yaml"},
      {"tune", kEvil},
      {"tune", "--resume", kEvil},
      {"resume", kEvil},
      {"predict", "--model", kEvil, "--data", "data.libsvm"},
      {"predict", "--model", "m.safetensors", "--data", "data.libsvm"},
      {"data", "info", "m.safetensors"},
      {"data", "split", "data.libsvm", "--workers", "2", "--to", "data.libsvm/" + kEvilKey},
      {"storage", "ls", "x" + kEvil + "://"},
      {"bench", "comm", "--channel", kEvil + "://x"},
      {"invoke", kEvil, "--payload", kEvil},
      {"deploy", "--zip", kEvil, "--function", "f"},
      {"package", "--with", kEvil},
      {"ps", "--token", kEvil},
  };
  for (const std::vector<std::string>& command : commands) {
    const Result result = lambdaml(command);
    SCOPED_TRACE(command.front());
    EXPECT_EQ(result.exit_code, 2) << printable(result.err, 1000);
    EXPECT_TRUE(is_harmless(result.out)) << printable(result.out, 4000);
    EXPECT_TRUE(is_harmless(result.err)) << printable(result.err, 4000);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST_F(OnTheTerminal, AJobInAFolderOfAnyNameIsToldHarmlessly) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "500", "-o", "data.libsvm"}).exit_code,
            0);
  const std::string out = "out" + kEvil;
  const Result trained = lambdaml(
      {"train", "--data", "data.libsvm", "--workers", "2", "--epochs", "1", "--output", out, "-v"});
  EXPECT_EQ(trained.exit_code, 0) << printable(trained.err, 1000);
  EXPECT_TRUE(is_harmless(trained.out)) << printable(trained.out, 1000);
  EXPECT_TRUE(is_harmless(trained.err)) << printable(trained.err, 1000);
  run({"data", "synth", "higgs", "--rows", "5", "-o", "data" + kEvil}, 0);
  run({"data", "info", "data" + kEvil}, 2);
  run({"data", "synth", "higgs", "--rows", "5", "-o", "data" + kEvilKey}, 0);
  run({"data", "info", "data" + kEvilKey}, 0);
  run({"status", out}, 0);
  run({"predict", "--model", out + "/model.safetensors", "--data", "data.libsvm", "--out", "p"}, 0);
}

TEST_F(OnTheTerminal, ASearchsRecordsAreToldHarmlessly) {
  write("data.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:1\n");
  fs::create_directories(folder() / "search/records/legs");
  write_json("search/search.json", {{"search_id", "20261122-101500-3f9c01d2a47b"},
                                    {"records", (folder() / "search/records").string()}});
  write_json("search/records/search.json",
             {{"id", "20261122-101500-3f9c01d2a47b"},
              {"job", {{"data", (folder() / "data.libsvm").string()}, {"workers", 2}}},
              {"settings", {{"trials", 1}}},
              {"space", {{{"name", "lr"}, {"uniform", {0.1, 1}}}}}});
  write_json("search/records/legs/000000.json", {{"trial", 0},
                                                 {"epochs", 10},
                                                 {"state", "failed"},
                                                 {"epoch", 0},
                                                 {"stalls", 0},
                                                 {"cost_usd", 0},
                                                 {"wall_s", 0},
                                                 {"reason", kEvil}});
  for (const char* flag : {"--json", "--verbose"}) {
    const Result result = lambdaml({"tune", "--resume", "search", flag});
    EXPECT_EQ(result.exit_code, 1) << printable(result.err, 1000);
    EXPECT_TRUE(is_harmless(result.out + result.err)) << printable(result.err, 1000);
    EXPECT_THAT(result.err, HasSubstr("\\x1b"));
  }
  write_json("search/records/summary.json", {{"metric", kEvil},
                                             {"best_trial", 0},
                                             {"options", {{"lr", kEvil}}},
                                             {"trials", json::array()}});
  write_json("search/records/legs/000000.json", {{"trial", 0},
                                                 {"epochs", 10},
                                                 {"state", "done"},
                                                 {"epoch", 10},
                                                 {"stalls", 0},
                                                 {"value", 0.5},
                                                 {"cost_usd", 0},
                                                 {"wall_s", 0},
                                                 {"reason", kEvil},
                                                 {"summary", {{"epochs", 10}}}});
  run({"tune", "--resume", "search"}, 0);
  write_json("search/records/search.json", {{"id", kEvil},
                                            {"job", json::object()},
                                            {"settings", json::object()},
                                            {"space", json::array()}});
  run({"tune", "--resume", "search"}, 2);
}

}  // namespace
}  // namespace lambdaml::e2e
