// Lambda delivers events at least once, and functions die: neither changes the result.
#include <fstream>

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
};

TEST_P(WorkersThatDie, AreTriedAgainToTheSameModel) {
  const fs::path lives = folder() / "lives";
  fs::create_directory(lives);
  std::ofstream(lives / "first").put('1');
  std::ofstream(lives / "second").put('2');
  deploy("mortal",
         {"--timeout-s", "60", "--env", "LD_PRELOAD=" LAMBDAML_DIE_AT_SAVE, "--env",
          "LAMBDAML_DIE_AT=" + GetParam(), "--env", "LAMBDAML_DIE_FOLDER=" + lives.string()});
  expect_the_local_model("mortal", {"--data", real_data("agaricus.train.libsvm"), "--epochs", "2",
                                    "--batch-size", "2000"});
  EXPECT_TRUE(fs::is_empty(lives)) << "nobody died: the test looks at nothing";
}

INSTANTIATE_TEST_SUITE_P(AtEachSave, WorkersThatDie,
                         testing::Values("1-", "2+", "3-", "4+", "5-", "6+", "7-", "8+", "9-"));

}  // namespace
}  // namespace lambdaml::e2e
