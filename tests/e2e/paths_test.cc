// Paths of any bytes: they are kept through events, records and job files, which are JSON and YAML.
#include <algorithm>
#include <filesystem>
#include <vector>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A folder whose name is no UTF-8, like a name of an old system: "café 100%" in Latin-1.
const std::string kName = "caf\xe9 100%";

class PathsOfBytes : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    place_ = folder() / kName;
    fs::create_directory(place_);
    ASSERT_EQ(
        lambdaml({"data", "synth", "higgs", "--rows", "4000", "-o", path("data.libsvm")}).exit_code,
        0);
  }
  /// Whether everything that commands left is below the one folder, and no second one was made.
  void TearDown() override {
    for (const auto& entry : fs::directory_iterator(folder())) {
      const std::string name = entry.path().filename().string();
      EXPECT_TRUE(name == kName || name.starts_with(".")) << printable(name);
    }
    CliTest::TearDown();
  }
  std::string path(const std::string& name) const { return (place_ / name).string(); }
  /// `lambdaml ARGUMENTS… --json -q` in that folder, which succeeds; its last line.
  nlohmann::json run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--json", "-q"});
    Command command(place_, folder(), arguments, {});
    const Result result = command.wait();
    EXPECT_EQ(result.exit_code, 0) << arguments.front() << ": " << result.err;
    return result.exit_code == 0 ? result.json() : nlohmann::json::object();
  }

  fs::path place_;
};

TEST_F(PathsOfBytes, AFileOfSuchANameIsReadAndWritten) {
  const std::string data = path(
      "donn\xe9"
      "es.libsvm");
  run({"data", "synth", "higgs", "--rows", "300", "-o", data});
  EXPECT_EQ(run({"data", "info", data})["rows"], 300);
  run({"data", "split", data, "--to",
       path("pi\xe8"
            "ces"),
       "--workers", "2"});
  EXPECT_EQ(run({"data", "info",
                 path("pi\xe8"
                      "ces")})["parts"],
            2);
  run({"train", "--data", data, "--workers", "2", "--epochs", "2", "--channel", path("c"),
       "--output", path("r")});
  EXPECT_EQ(run({"predict", "--model", path("r/model.safetensors"), "--data", data})["rows"], 300);
}

TEST_F(PathsOfBytes, AJobIsTrainedInterruptedResumedAndUsedThere) {
  const std::vector<std::string> job{"--data",       path("data.libsvm"),
                                     "--test-data",  path("data.libsvm"),
                                     "--channel",    path("channel"),
                                     "--checkpoint", path("kept"),
                                     "--workers",    "2",
                                     "--batch-size", "100"};
  const auto train = [&](const std::string& output, const std::string& epochs) {
    std::vector<std::string> arguments{"train", "--output", output, "--epochs", epochs};
    arguments.insert(arguments.end(), job.begin(), job.end());
    return arguments;
  };
  const nlohmann::json whole = run(train("whole", "40"));
  EXPECT_EQ(Uri::parse(whole["model_path"].get<std::string>()).path,
            path("whole/model.safetensors"));

  Command cut(place_, folder(), train("cut", "40"), {});
  ASSERT_TRUE(wait_for_epochs(cut, place_ / "cut" / "metrics.jsonl", 2));
  cut.signal(SIGTERM);
  const Result interrupted = cut.wait();
  ASSERT_EQ(interrupted.exit_code, 130) << interrupted.err;
  // The command that it names works.
  const std::size_t at = interrupted.err.find("lambdaml resume ");
  ASSERT_NE(at, std::string::npos) << interrupted.err;
  std::string named = interrupted.err.substr(at + 16);
  named.resize(named.find('\n'));
  EXPECT_EQ(path_of_file_uri(named), path("cut"));
  EXPECT_EQ(run({"status", named})["state"], "stopped");
  const nlohmann::json resumed = run({"resume", named, "-v"});
  EXPECT_EQ(resumed["epochs"], 40);
  EXPECT_EQ(read(place_ / "cut" / "model.safetensors"),
            read(place_ / "whole" / "model.safetensors"));
  EXPECT_EQ(
      std::count_if(fs::directory_iterator(place_ / "kept"), {}, [](const auto&) { return true; }),
      2)
      << "a folder for each of the two jobs";

  EXPECT_EQ(run({"status", path("cut")})["state"], "done");
  const std::string by_uri =
      Uri::parse(path("kept")).text() + "/" + resumed["job_id"].get<std::string>();
  EXPECT_EQ(run({"logs", path("cut")})["logs"].size(), 2U);
  const nlohmann::json runs = run({"ls", path("")})["runs"];
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(run({"status", runs[0]["run"].get<std::string>()})["state"], "done");
  EXPECT_EQ(run({"ls", Uri::parse(path("kept")).text()})["runs"].size(), 2U);
  EXPECT_EQ(run({"predict", "--model", resumed["model_path"].get<std::string>(), "--data",
                 path("data.libsvm"), "--out", path("labels")})["rows"],
            4000);
}

TEST_F(PathsOfBytes, AreKeptByJobFilesPreparedDataAndSearches) {
  EXPECT_EQ(Uri::parse(run({"data", "split", "data.libsvm", "--workers", "2", "--to",
                            path("parts")})["path"]
                           .get<std::string>())
                .path,
            path("parts"));
  EXPECT_EQ(run({"data", "info", path("parts")})["rows"], 4000);
  write(kName + "/job.yaml",
        "data: " + path("parts") + "\nworkers: 2\nepochs: 2\noutput: " + path("run") + "\n");
  const nlohmann::json first = run({"train", "job.yaml"});
  // The resolved job file trains the same job again.
  const nlohmann::json again = run({"train", path("run/job.yaml"), "--output", path("again")});
  EXPECT_EQ(again["train_loss"], first["train_loss"]);

  write(kName + "/tune.yaml", "data: " + path("data.libsvm") +
                                  "\nworkers: 1\nepochs: 2\ntune: {trials: 2, space: {lr: "
                                  "{choice: [0.1, 0.5]}}}\n");
  const nlohmann::json search = run({"tune", "tune.yaml", "--output", path("search")});
  EXPECT_EQ(search["trials_done"], 2);
  EXPECT_TRUE(fs::exists(Uri::parse(search["model_path"].get<std::string>()).path));
}

TEST_F(PathsOfBytes, TheHomeFolderIsFoundWithinAWord) {
  const std::vector<std::string> environment = {"HOME=" + place_.string()};
  const Result made = lambdaml(
      {"data", "synth", "higgs", "--rows", "50", "--out=~/home.libsvm", "-q"}, environment);
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_TRUE(fs::exists(place_ / "home.libsvm"));
  EXPECT_EQ(lambdaml({"data", "info", "~/home.libsvm"}, environment).exit_code, 0);
}

TEST_F(PathsOfBytes, AreRefusedWhereTheyCannotBeKept) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--channel", "redis://localhost/0/" + kName},
        {"--checkpoint", "s3://bucket/" + kName},
        {"--platform", "aws", "--function", kName}}) {
    std::vector<std::string> arguments{"train", "--data", path("data.libsvm")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Command command(place_, folder(), arguments, {});
    const Result result = command.wait();
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("it is not UTF-8"));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

}  // namespace
}  // namespace lambdaml::e2e
