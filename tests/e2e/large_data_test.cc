// Data that functions read and cut, each a part: training, prepared sets, and what may be wrong.
#include <algorithm>
#include <filesystem>
#include <iterator>

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class LargeData : public CliTest {
 protected:
  static std::string table(int rows) {
    std::string text = "age,colour,label,height\n";
    for (int i = 0; i < rows; ++i)
      text += fmt::format("{},{},{},{:.4f}\n", i % 61, i % 3 == 0 ? "red" : "blue", i * 2 / rows,
                          (i % 997) / 997.0 + i * 2 / rows);
    return text;
  }
  Result split(const std::vector<std::string>& more,
               const std::vector<std::string>& environment = {}) const {
    std::vector<std::string> arguments{"data", "split", "--platform", "local", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return lambdaml(arguments, environment);
  }
  nlohmann::json train_by_functions(const std::string& data, int workers,
                                    const std::string& output) const {
    return train({"--data", data, "--read-by", "functions", "--workers", std::to_string(workers),
                  "--output", output});
  }
  /// A worker that is killed as it makes its `at`-th save, the first `deaths` times.
  std::string mortal_worker(const std::string& at, int deaths) const {
    fs::create_directory(lives());
    for (int i = 0; i < deaths; ++i) write("lives/" + std::to_string(i), "1");
    const fs::path program =
        write("worker", fmt::format("#!/bin/sh\nASAN_OPTIONS=verify_asan_link_order=0 "
                                    "LD_PRELOAD={} LAMBDAML_DIE_AT={} LAMBDAML_DIE_FOLDER={} "
                                    "exec {}/lambdaml-worker \"$@\"\n",
                                    LAMBDAML_DIE_AT_SAVE, at, lives().string(), LAMBDAML_BIN_DIR));
    fs::permissions(program, fs::perms::owner_all);
    return "LAMBDAML_WORKER=" + program.string();
  }
  fs::path lives() const { return folder() / "lives"; }
  void expect_refused(const Result& result, const std::string& words) const {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
  }
};

/// The rows of a sorted file are mixed, and the same ones are held out for every number of workers.
TEST_F(LargeData, FunctionsTrainOnBlocksOfAFile) {
  write("table.csv", table(20000));
  const nlohmann::json two = train_by_functions("table.csv", 2, "two");
  EXPECT_EQ(two["rows"], 20000);
  EXPECT_EQ(two["features"], 4);
  EXPECT_GT(two["valid_accuracy"], 0.9);
  train_by_functions("table.csv", 2, "again");
  EXPECT_TRUE(read(folder() / "two/model.safetensors") ==
              read(folder() / "again/model.safetensors"));
  // The held-out rows are the same, and lbfgs finds the same optimum.
  const nlohmann::json three = train_by_functions("table.csv", 3, "three");
  EXPECT_NEAR(static_cast<double>(three["valid_loss"]), static_cast<double>(two["valid_loss"]),
              1e-4);
  const nlohmann::json model = lambdaml({"model", "two", "--json"}).json();
  EXPECT_EQ(model["features"], (nlohmann::json{"age", "colour=blue", "colour=red", "height"}));
}

TEST_F(LargeData, ASetThatFunctionsPrepared) {
  write("days/part-0.csv", table(9000));
  write("days/part-1.csv", table(5000));
  const Result cut = split({"days", "--to", "set", "--parts", "5", "--workers", "2"});
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  EXPECT_EQ(cut.json()["parts"], 5);
  EXPECT_EQ(cut.json()["rows"], 14000);
  const nlohmann::json info = lambdaml({"data", "info", "set", "--json"}).json();
  EXPECT_EQ(info["labels"], (nlohmann::json{{"0", 7000}, {"1", 7000}}));
  EXPECT_EQ(nlohmann::json::parse(read(folder() / "set/manifest.json"))["in_order"], true);
  // The same rows in the same order, whatever the number of parts: the model file is the same.
  ASSERT_EQ(split({"days", "--to", "other", "--parts", "3", "--workers", "3"}).exit_code, 0);
  for (const char* set : {"set", "other"})
    train(
        {"--data", set, "--workers", "1", "--epochs", "3", "--output", std::string(set) + "-run"});
  EXPECT_TRUE(read(folder() / "set-run/model.safetensors") ==
              read(folder() / "other-run/model.safetensors"));
  // One of fewer parts replaces it.
  ASSERT_EQ(split({"days", "--to", "set", "--parts", "2", "--workers", "2"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(folder() / "set/4_5"));
}

TEST_F(LargeData, ErrorsNameTheLineAndLeaveNothing) {
  std::string text = table(9000);
  text.replace(text.find("\n50,", text.size() / 2) + 1, 2, "old");
  write("bad.csv", text);
  const Result whole = lambdaml({"data", "split", "bad.csv", "--workers", "2", "--to", "whole"});
  expect_refused(whole, "'old'");
  const Result parts = split({"bad.csv", "--to", "set", "--workers", "2"});
  expect_refused(parts, whole.err.substr(whole.err.find("bad.csv:")));
  EXPECT_FALSE(fs::exists(folder() / "set/manifest.json"));
  EXPECT_FALSE(fs::exists(folder() / "set/0_2"));
  write("few.libsvm", "1 1:2\n0 1:3\n");
  expect_refused(split({"few.libsvm", "--to", "set", "--workers", "5"}), "too few for 5 parts");
  expect_refused(split({"never.csv", "--to", "set", "--workers", "2"}), "never.csv");
  expect_refused(
      lambdaml({"data", "split", "few.libsvm", "--to", "set", "--workers", "2", "--retries", "1"}),
      "--retries is for a set that functions cut");
}

TEST_F(LargeData, RowsOfSeveralLinesAreReadByOneWorker) {
  std::string text = table(3000);
  text += "1,\"dark\nred\",0,0.5\n";
  write("quoted.csv", text);
  const Result cut = split({"quoted.csv", "--to", "set", "--workers", "2"});
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  EXPECT_THAT(cut.err, HasSubstr("cannot be cut: one worker reads it"));
  EXPECT_EQ(cut.json()["rows"], 3001);
}

// That it cannot be cut is no second line.
TEST_F(LargeData, AFileThatCannotBeCutIsRefusedInOneLine) {
  write("quoted.csv", "label,a\n1,2\n0,3\n1,\"4\n\"\n0,5,6\n");
  const Result refused = split({"quoted.csv", "--to", "set", "--workers", "1"});
  expect_refused(refused, "quoted.csv");
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
}

TEST_F(LargeData, AFileThatHasChangedIsNotResumed) {
  write("table.csv", table(20000));
  const Result paused =
      lambdaml({"train", "--data", "table.csv", "--read-by", "functions", "--optim", "grad_avg",
                "--epochs", "4", "--stop-after", "2", "--workers", "2", "--output", "run"});
  ASSERT_EQ(paused.exit_code, 0) << paused.err;
  std::string other = table(20000);
  other[other.size() - 2] = '7';
  write("table.csv", other);
  expect_refused(lambdaml({"resume", "run"}), "and had");
  write("table.csv", table(20000));
  const Result resumed = lambdaml({"resume", "run", "--json"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  train({"--data", "table.csv", "--read-by", "functions", "--optim", "grad_avg", "--epochs", "4",
         "--workers", "2", "--output", "whole"});
  EXPECT_TRUE(read(folder() / "run/model.safetensors") ==
              read(folder() / "whole/model.safetensors"));
}

/// Where a worker's saves are that prepares data: its start, its claim, what it found, the
/// agreement (worker 0), its parts, its report.
class PreparingWorkersThatDie : public LargeData,
                                public testing::WithParamInterface<std::string> {};

TEST_P(PreparingWorkersThatDie, AreTriedAgainToTheSameSet) {
  write("table.csv", table(6000));
  const std::vector<std::string> job{"table.csv", "--parts", "4", "--workers", "2", "--to"};
  const auto to = [&](const std::string& set) {
    std::vector<std::string> arguments = job;
    arguments.push_back(set);
    return arguments;
  };
  ASSERT_EQ(split(to("set")).exit_code, 0);
  const Result there = split(to("other"), {mortal_worker(GetParam(), 2)});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  EXPECT_TRUE(fs::is_empty(lives())) << "nobody died: the test looks at nothing";
  for (const char* file : {"manifest.json", "0_4", "1_4", "2_4", "3_4"})
    EXPECT_TRUE(read(folder() / "set" / file) == read(folder() / "other" / file)) << file;
}

INSTANTIATE_TEST_SUITE_P(LargeData, PreparingWorkersThatDie,
                         testing::Values("2+", "3-", "4+", "5-"), [](const auto& info) {
                           return info.param[0] +
                                  std::string(info.param[1] == '-' ? "before" : "after");
                         });

TEST_F(LargeData, WorkersThatAlwaysDieEndTheCommandAndLeaveNothing) {
  write("table.csv", table(6000));
  const Result cut =
      split({"table.csv", "--parts", "4", "--workers", "2", "--retries", "1", "--to", "set"},
            {mortal_worker("3-", 50)});
  EXPECT_EQ(cut.exit_code, 4) << cut.err;
  EXPECT_LT(std::distance(fs::directory_iterator(lives()), fs::directory_iterator()), 50);
  EXPECT_THAT(cut.err, HasSubstr("was lost after 2 attempts"));
  EXPECT_FALSE(fs::exists(folder() / "set/manifest.json"));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(fs::exists(folder() / fmt::format("set/{}_4", i)));
  const Result trained = lambdaml({"train", "--data", "table.csv", "--read-by", "functions",
                                   "--workers", "2", "--retries", "1", "--output", "run", "-q"},
                                  {mortal_worker("3-", 50)});
  EXPECT_EQ(trained.exit_code, 4) << trained.err;
  EXPECT_FALSE(fs::exists(folder() / "run"));
}

TEST_F(LargeData, ConstantColumnsAreTold) {
  std::string text = "a,label,b,c\n", rows;
  for (int i = 0; i < 4000; ++i) {
    text += fmt::format("7.5,{},{},{}\n", i % 2, i % 13, i < 3999 ? 3 : 4);
    rows += fmt::format("{} 1:{} 3:1\n", i % 2, i % 13);
  }
  write("table.csv", text);
  write("rows.libsvm", rows);
  const std::string words =
      "a column has the same value in all 4,000 rows, so nothing is learned from it: ";
  const Result here = lambdaml({"data", "info", "table.csv"});
  EXPECT_THAT(here.err, HasSubstr("table.csv: " + words + "'a'; remove it"));
  EXPECT_THAT(split({"table.csv", "--to", "set", "--workers", "2"}).err,
              HasSubstr("table.csv: " + words + "'a'; remove it"));
  const Result trained =
      lambdaml({"train", "--data", "rows.libsvm", "--workers", "2", "--output", "run", "-q"});
  EXPECT_EQ(trained.exit_code, 0);
  // Features 2 and 3: the rows are dense.
  EXPECT_THAT(trained.err, HasSubstr("columns have the same value in all 4,000 rows, so nothing is "
                                     "learned from them: feature 2, feature 3; remove them"));
}

// Whoever is refused has one thing to mend first; whoever goes on knows it.
TEST_F(LargeData, ConstantColumnsAreToldOnceAJobBegins) {
  std::string rows, same;
  for (int i = 0; i < 4000; ++i) {
    rows += fmt::format("{} 1:{} 2:1\n", i % 2, i % 13);
    same += fmt::format("1 1:{} 2:1\n", i % 13);
  }
  write("rows.libsvm", rows);
  write("same.libsvm", same);
  for (const char* reader : {"command", "functions"}) {
    SCOPED_TRACE(reader);
    const auto train = [&](const std::string& data, const std::string& output) {
      return lambdaml({"train", "--data", data, "--workers", "2", "--read-by", reader,
                       "--stop-after", "1", "--output", output, "-q"});
    };
    const std::string words = "a column has the same value in all 4,000 rows";
    const std::string run = std::string("run-") + reader;
    EXPECT_THAT(train("rows.libsvm", run).err, HasSubstr(words));
    const Result resumed = lambdaml({"resume", run, "-q"});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(resumed.err.find(words), std::string::npos) << resumed.err;
    const Result refused = train("same.libsvm", "refused");
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, testing::StartsWith("lambdaml: "));
    EXPECT_THAT(refused.err, HasSubstr("every label is 1: name the column of labels by --label"));
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    EXPECT_FALSE(fs::exists(folder() / "refused"));
  }
}

}  // namespace
}  // namespace lambdaml::e2e
