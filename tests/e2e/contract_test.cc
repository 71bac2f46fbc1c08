// The command line as it is relied on from outside.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class Contract : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    const Result made =
        lambdaml({"data", "synth", "higgs", "--rows", "2000", "-o", "train.libsvm"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
};

TEST_F(Contract, TheSummaryAndTheFilesOfARun) {
  const nlohmann::json summary = train({"--data", "train.libsvm", "--test-data", "train.libsvm",
                                        "--epochs", "3", "--lr", "0.1", "--output", "out"});
  for (const char* key :
       {"job_id",     "model",          "optim",          "sync_mode",     "channel",
        "workers",    "epochs",         "rows",           "features",      "train_loss",
        "valid_loss", "valid_accuracy", "test_loss",      "test_accuracy", "wall_s",
        "startup_s",  "load_s",         "compute_s",      "comm_s",        "rounds",
        "requests",   "bytes_sent",     "bytes_received", "cost_usd",      "model_path"})
    EXPECT_TRUE(summary.contains(key)) << key;
  EXPECT_EQ(summary["rows"], 2000);
  EXPECT_EQ(summary["features"], 28);
  EXPECT_EQ(summary["epochs"], 3);
  EXPECT_GE(summary["wall_s"], summary["compute_s"]);
  EXPECT_TRUE(fs::exists(summary["model_path"].get<std::string>()));
  EXPECT_EQ(nlohmann::json::parse(read(folder() / "out" / "summary.json")), summary);
  for (const char* name : {"job.yaml", "log/worker-0.log", "log/worker-3.log", "model.safetensors"})
    EXPECT_TRUE(fs::exists(folder() / "out" / name)) << name;
  std::istringstream lines(read(folder() / "out" / "metrics.jsonl"));
  int epoch = 0;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json record = nlohmann::json::parse(line);
    EXPECT_EQ(record["epoch"], ++epoch);
    for (const char* key :
         {"train_loss", "valid_loss", "valid_accuracy", "test_loss", "test_accuracy"})
      EXPECT_TRUE(record.contains(key)) << key;
    if (epoch == 3) {
      EXPECT_NEAR(record["valid_loss"], summary["valid_loss"], 1e-12);
    }
  }
  EXPECT_EQ(epoch, 3);
}

TEST_F(Contract, TheResolvedJobFileGivesTheSameModelAgain) {
  train({"--data", "train.libsvm", "--epochs", "2", "--lr", "0.37", "--output", "a"});
  const Result again = lambdaml({"train", "a/job.yaml", "--output", "b", "-q"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read(folder() / "a" / "model.safetensors"), read(folder() / "b" / "model.safetensors"));
}

TEST_F(Contract, FlagBeatsEnvironmentBeatsJobFileBeatsDefault) {
  write("job.yaml",
        "data: train.libsvm\nworkers: 2\nepochs: 2\nn_admm_epochs: 3\nbatch-size: 500\n");
  const auto workers = [&](const std::vector<std::string>& flags,
                           const std::vector<std::string>& environment) {
    std::vector<std::string> arguments{"train", "job.yaml", "--json", "-q"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Result result = lambdaml(arguments, environment);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json().at("workers").get<int>();
  };
  EXPECT_EQ(workers({}, {}), 2);
  EXPECT_EQ(workers({}, {"LAMBDAML_WORKERS=3"}), 3);
  EXPECT_EQ(workers({"--workers", "1"}, {"LAMBDAML_WORKERS=3"}), 1);
  EXPECT_EQ(workers({"--set", "workers=5"}, {"LAMBDAML_WORKERS=3"}), 5);
}

TEST_F(Contract, ResultsGoToStdoutAndProgressToStderr) {
  const Result plain =
      lambdaml({"train", "--data", "train.libsvm", "--epochs", "2", "--output", "p"});
  EXPECT_EQ(plain.exit_code, 0);
  EXPECT_NE(plain.out.find("model.safetensors"), std::string::npos);
  EXPECT_NE(plain.err.find("epoch 2/2"), std::string::npos) << plain.err;
  const Result quiet =
      lambdaml({"train", "--data", "train.libsvm", "--output", "q", "-q", "--json"});
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(std::count(quiet.out.begin(), quiet.out.end(), '\n'), 1);
}

TEST_F(Contract, TheSummaryForPeopleHasTheFiguresOfTheJson) {
  REQUIRE_REAL_DATA();
  const nlohmann::json json = train({"--data", real_data("agaricus.train.libsvm"), "--workers", "3",
                                     "--epochs", "2", "--output", "run"});
  const Result text = lambdaml({"resume", "run", "-q"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_EQ(text.out.substr(0, text.out.find(" rows")),
            "lr by lbfgs over reduce, 3 workers, 2 epochs of 6,513")
      << text.out;
  EXPECT_EQ(json["rows"], 6513);
  const Result trained = lambdaml({"train", "--data", real_data("agaricus.train.libsvm"),
                                   "--workers", "3", "--epochs", "2", "-q"});
  EXPECT_EQ(trained.out.substr(0, trained.out.find('\n')), text.out.substr(0, text.out.find('\n')));
}

TEST_F(Contract, StopsEarlyAsTold) {
  const nlohmann::json summary =
      train({"--data", "train.libsvm", "--epochs", "1000", "--until", "train_loss<=0.692"});
  EXPECT_LT(summary["epochs"], 1000);
  EXPECT_EQ(summary["ended_by"], "until");
}

TEST_F(Contract, AJobThatPausedIsResumedToItsEnd) {
  const std::vector<std::string> job = {"--data",        "train.libsvm", "--epochs", "6",
                                        "--lr-schedule", "cosine",       "--output"};
  std::vector<std::string> whole = job;
  whole.push_back("whole");
  train(whole);
  std::vector<std::string> cut = job;
  cut.insert(cut.end(), {"cut", "--stop-after", "2"});
  EXPECT_EQ(train(cut)["ended_by"], "stop_after");
  const Result resumed = lambdaml({"resume", "cut", "--json", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.json()["epochs"], 6);
  EXPECT_EQ(resumed.json()["ended_by"], "epochs");
  EXPECT_EQ(read(folder() / "cut/model.safetensors"), read(folder() / "whole/model.safetensors"));
}

TEST_F(Contract, PredictTellsWhatTrainTold) {
  const nlohmann::json summary = train({"--data", "train.libsvm", "--valid-ratio", "0", "--epochs",
                                        "5", "--output", "run", "--test-data", "train.libsvm"});
  const std::string model = summary["model_path"];
  const Result result = lambdaml(
      {"predict", "--model", model, "--data", "train.libsvm", "--out", "labels", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json measures = result.json();
  EXPECT_EQ(measures["rows"], 2000);
  EXPECT_NEAR(measures["accuracy"], summary["test_accuracy"], 1e-9);
  EXPECT_NEAR(measures["log_loss"], summary["test_loss"], 1e-5);
  EXPECT_GT(measures["auc"], 0.5);
  const std::string labels = read(folder() / "labels");
  EXPECT_EQ(std::count(labels.begin(), labels.end(), '\n'), 2000);
  EXPECT_EQ(labels.find_first_not_of("01\n"), std::string::npos);
  const Result printed = lambdaml({"predict", "--model", model, "--data", "train.libsvm", "-q"});
  EXPECT_EQ(printed.out, labels);
}

TEST_F(Contract, LabelsOfAnyKindComeBackFromPredict) {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += std::to_string(std::array{-7, 3, 1000000}[i % 3]) + " " + std::to_string(i % 3 + 1) +
            ":1\n";
  write("three.libsvm", text);
  for (const std::string model : {"lr", "svm"}) {
    const nlohmann::json summary = train({"--data", "three.libsvm", "--model", model, "--epochs",
                                          "50", "--lr", "0.5", "--valid-ratio", "0"});
    EXPECT_EQ(summary["train_accuracy"], 1.0);
    const Result result =
        lambdaml({"predict", "--model", summary["model_path"], "--data", "three.libsvm", "-q"});
    EXPECT_TRUE(result.out.starts_with("-7\n3\n1000000\n-7\n")) << result.out.substr(0, 40);
  }
}

TEST_F(Contract, DataCommands) {
  const Result info = lambdaml({"data", "info", "train.libsvm", "--json"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  EXPECT_EQ(info.json()["rows"], 2000);
  EXPECT_EQ(info.json()["features"], 28);
  EXPECT_EQ(info.json()["bytes"], fs::file_size(folder() / "train.libsvm"));
  EXPECT_EQ(info.json()["labels"].size(), 2U);
  const Result cut = lambdaml({"data", "split", "train.libsvm", "--workers", "3", "--to", "parts",
                               "--as", "libsvm", "--json"});
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  // Part i has the rows r with r mod 3 = i, in order.
  std::istringstream whole(read(folder() / "train.libsvm"));
  std::array<std::istringstream, 3> parts;
  for (int i = 0; i < 3; ++i) parts[i].str(read(folder() / "parts" / (std::to_string(i) + "_3")));
  int row = 0;
  for (std::string line, part; std::getline(whole, line); ++row) {
    ASSERT_TRUE(std::getline(parts[row % 3], part)) << row;
    EXPECT_EQ(part, line) << row;
  }
  EXPECT_EQ(lambdaml({"data", "info", "parts", "--json"}).json()["rows"], 2000);
}

TEST_F(Contract, StorageCommands) {
  const std::string store = "file://" + (folder() / "store").string();
  write("value", "hello");
  EXPECT_EQ(lambdaml({"storage", "put", store, "a/b", "value"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "get", store, "a/b"}).out, "hello");
  EXPECT_NE(lambdaml({"storage", "ls", store}).out.find("a/b"), std::string::npos);
  EXPECT_EQ(lambdaml({"storage", "ls", store, "--json"}).json()["keys"][0]["bytes"], 5);
  EXPECT_EQ(lambdaml({"storage", "rm", store, "a/b"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "get", store, "a/b"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"storage", "put", store, "c", "value"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "clear", store}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "ls", store}).out, "");
}

TEST_F(Contract, BenchCommMeasuresEveryPattern) {
  for (const std::string channel : {"file", "memory"})
    for (const std::string pattern : {"reduce", "reduce_scatter"}) {
      const Result result =
          lambdaml({"bench", "comm", "--channel", channel, "--workers", "3", "--bytes", "1000",
                    "--sync-mode", pattern, "--rounds", "20", "--json"});
      ASSERT_EQ(result.exit_code, 0) << result.err;
      const nlohmann::json json = result.json();
      EXPECT_EQ(json["bitwise_equal"], true) << channel << " " << pattern;
      EXPECT_LE(json["min_s"], json["median_s"]);
      EXPECT_LE(json["median_s"], json["max_s"]);
      EXPECT_GT(json["requests"], 0);
      EXPECT_GT(json["bytes"], 1000);
    }
}

TEST_F(Contract, TheModelOpensWithTheFormatsOwnRules) {
  const nlohmann::json summary = train({"--data", "train.libsvm", "--epochs", "1"});
  const std::string bytes = read(summary["model_path"].get<std::string>());
  ASSERT_GT(bytes.size(), 8U);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header["weight"]["dtype"], "F32");
  EXPECT_EQ(header["weight"]["shape"].back(), 28);
  EXPECT_EQ(header["__metadata__"]["model"], "lr");
  EXPECT_EQ(header["__metadata__"]["labels"], "[0,1]");
  for (const auto& [key, value] : header["__metadata__"].items())
    EXPECT_TRUE(value.is_string()) << key;
}

TEST_F(Contract, TheOptionsPageIsWhatTheProgramSays) {
  const nlohmann::json known = lambdaml({"options", "--json"}).json();
  const auto batch_size = std::ranges::find_if(known["options"], [](const nlohmann::json& option) {
    return option["name"] == "batch_size";
  });
  ASSERT_NE(batch_size, known["options"].end());
  EXPECT_EQ((*batch_size)["default"], 1000);
  for (const nlohmann::json& store : known["stores"]) {
    if (store["name"] == "s3") {
      EXPECT_EQ(store["options"][0]["name"], "region");
    }
  }
  EXPECT_EQ(lambdaml({"options"}).out, read(LAMBDAML_SOURCE_DIR "/docs/reference/options.md"))
      << "write it again: build/release/bin/lambdaml options > docs/reference/options.md";
}

TEST_F(Contract, EveryOptionIsAFlagAJobFileKeyAndBack) {
  // What a run resolved, given as flags, resolves to the same again.
  train(
      {"--data", "train.libsvm", "--epochs", "1", "--output", "a", "--no-shuffle", "--keep=false"});
  std::istringstream lines(read(folder() / "a" / "job.yaml"));
  std::vector<std::string> arguments;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    std::string name = line.substr(0, colon), value = line.substr(colon + 2);
    if (name == "output" || value == "\"\"") continue;
    std::replace(name.begin(), name.end(), '_', '-');
    if (value.front() == '"') value = value.substr(1, value.size() - 2);
    arguments.push_back("--" + name + "=" + value);
  }
  EXPECT_GT(arguments.size(), 30U);
  arguments.insert(arguments.end(), {"--output", "b"});
  train(arguments);
  std::string expected = read(folder() / "a" / "job.yaml");
  expected.replace(expected.find("output: \"a\""), 11, "output: \"b\"");
  EXPECT_EQ(read(folder() / "b" / "job.yaml"), expected);
}

}  // namespace
}  // namespace lambdaml::e2e
