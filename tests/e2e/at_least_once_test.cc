// Lambda delivers events at least once, and functions die: neither changes the result.
#include <fstream>

#include <fmt/core.h>

#include "e2e/lambda.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class EveryEventTwice : public Lambda {
 protected:
  EveryEventTwice() : Lambda({"--deliver-twice"}) {}
};

TEST_F(EveryEventTwice, ChangesNoModel) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  const std::vector<std::vector<std::string>> jobs{
      {"--data", real_data("agaricus.train.libsvm"), "--epochs", "5"},
      {"--data", real_data("higgs.train.libsvm"), "--epochs", "20", "--sync-mode",
       "reduce_scatter"},
      {"--data", real_data("higgs.train.libsvm"), "--epochs", "6", "--model", "kmeans",
       "--clusters", "5"},
  };
  for (const auto& job : jobs) {
    expect_the_local_model("lambdaml-worker", job);
    fs::remove_all(folder() / "local");
    fs::remove_all(folder() / "there");
  }
}

TEST_F(EveryEventTwice, ChangesNoModelOfAJobThatGoesOnInFreshFunctions) {
  deploy("short", {"--timeout-s", "2"});
  expect_the_local_model_of_several("short", 3);
}

TEST_F(EveryEventTwice, ChangesNoModelOfAJobLongerThanItsTrigger) {
  const std::filesystem::path kept = folder() / "kept";
  expect_to_outlive_its_trigger({{"channel", channel()}, {"checkpoint", "file://" + kept.string()}},
                                kept);
}

/// Where a worker's saves are, for two epochs of two rounds: its start, its tenure, contributions
/// (worker 1) or merged results (worker 0), metrics (worker 0), checkpoints, its result.
class WorkersThatDie : public Lambda, public testing::WithParamInterface<std::string> {
 protected:
  WorkersThatDie() : Lambda({"--retry-delay-s", "0.05"}) {}
  void expect_the_same_model_of(const std::vector<std::string>& job) const;
};

void WorkersThatDie::expect_the_same_model_of(const std::vector<std::string>& job) const {
  const fs::path lives = folder() / "lives";
  fs::create_directory(lives);
  std::ofstream(lives / "first").put('1');
  std::ofstream(lives / "second").put('2');
  deploy("mortal",
         {"--timeout-s", "60", "--env", "LD_PRELOAD=" LAMBDAML_DIE_AT_SAVE, "--env",
          "LAMBDAML_DIE_AT=" + GetParam(), "--env", "LAMBDAML_DIE_FOLDER=" + lives.string()});
  expect_the_local_model("mortal", job);
  EXPECT_TRUE(fs::is_empty(lives)) << "nobody died: the test looks at nothing";
}

TEST_P(WorkersThatDie, AreTriedAgainToTheSameModel) {
  expect_the_same_model_of(
      {"--data", real_data("agaricus.train.libsvm"), "--epochs", "2", "--batch-size", "2000"});
}

/// A state and its commit record are two saves.
class WorkersWithRecordsThatDie : public WorkersThatDie {};

TEST_P(WorkersWithRecordsThatDie, AreTriedAgainToTheSameModel) {
  std::string wide;
  for (int row = 0; row < 300; ++row)
    wide += fmt::format("{} {}:0.5 {}:1 20000:1\n", row % 2, row + 1, 1000 + row % 7);
  write("wide.libsvm", wide);
  expect_the_same_model_of(
      {"--data", "wide.libsvm", "--epochs", "2", "--batch-size", "75", "--valid-ratio", "0"});
}

INSTANTIATE_TEST_SUITE_P(AtEachSave, WorkersWithRecordsThatDie,
                         testing::Values("4+", "5+", "6-", "6+", "7-", "9+", "10-", "10+"));

INSTANTIATE_TEST_SUITE_P(AtEachSave, WorkersThatDie,
                         testing::Values("1-", "2+", "3-", "4+", "5-", "6+", "7-", "8+", "9-"));

}  // namespace
}  // namespace lambdaml::e2e
