// Functions packaged, deployed to a Lambda service of this machine, and trained on.
#include "e2e/lambda.h"

#include <chrono>
#include <thread>

#include <unistd.h>

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

TEST_F(Lambda, DeployedFunctionsTrainTheModelOfLocalOnes) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  const nlohmann::json summary = expect_the_local_model(
      "lambdaml-worker", {"--data", real_data("agaricus.train.libsvm"), "--epochs", "3"});
  EXPECT_EQ(summary["invocations"], 2);
  // The workers' logs are where any machine can see them.
  EXPECT_NE(with_keys({"logs", "there", "--worker", "1"}).out.find("loaded"), std::string::npos);
  EXPECT_EQ(with_keys({"status", "there", "--json"}).json()["state"], "done");
}

TEST_F(Lambda, AJobLongerThanItsFunctionsGoesOnInFreshOnes) {
  deploy("short", {"--timeout-s", "2"});
  const nlohmann::json summary = expect_the_local_model(
      "short", {"--data", real_data("higgs.train.libsvm"), "--batch-size", "10", "--epochs", "80"});
  EXPECT_GT(summary["invocations"], 2);
}

TEST_F(Lambda, TheTriggerRunsAJobAndAnswersWhatIsWrong) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  deploy("lambdaml-trigger", {"--handler", "trigger", "--timeout-s", "60"});
  const std::string job = nlohmann::json{{"data", real_data("agaricus.train.libsvm")},
                                         {"workers", 2},
                                         {"epochs", 2},
                                         {"channel", channel()},
                                         {"checkpoint", "file://" + (folder() / "kept").string()}}
                              .dump();
  const Result done = with_keys({"invoke", "lambdaml-trigger", "--payload", job});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const std::string job_id = done.json()["job_id"];
  EXPECT_GT(fs::file_size(folder() / "kept" / job_id / "model.safetensors"), 100U);
  const Result wrong =
      with_keys({"invoke", "lambdaml-trigger", "--payload", R"({"data":"x","wokers":2})"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.err.find("did you mean 'workers'"), std::string::npos) << wrong.err;
}

TEST_F(Lambda, AJobLongerThanItsTriggerGoesOnInAFreshOne) { expect_to_outlive_its_trigger(); }

TEST_F(Lambda, ASecondDeployChangesNothingAndOnlyOursAreDestroyed) {
  deploy("lambdaml-worker");
  const Result again = with_keys(
      {"deploy", "--zip", LAMBDAML_TEST_ZIP, "--function", "lambdaml-worker", "--dry-run"});
  EXPECT_NE(again.out.find("unchanged"), std::string::npos) << again.out;
  EXPECT_EQ(with_keys({"destroy", "lambdaml-worker"}).exit_code, 0);
  EXPECT_EQ(with_keys({"destroy", "lambdaml-worker"}).exit_code, 0);
  const Result train = with_keys({"train", "--platform", "aws", "--function", "lambdaml-worker",
                                  "--data", real_data("agaricus.train.libsvm"), "--channel",
                                  channel(), "--output", "out", "-q"});
  EXPECT_EQ(train.exit_code, 2);
  EXPECT_NE(train.err.find("lambdaml-worker"), std::string::npos) << train.err;
}

TEST_F(Lambda, ThePackageRunsWithNothingButItself) {
  if (::geteuid() != 0) {
    ASSERT_EQ(std::getenv("CI"), nullptr) << "CI must be able to change its root";
    GTEST_SKIP() << "only root may change its root";
  }
  // Made as a user makes it; 10 MB is what a worker without deep models may take.
  EXPECT_LT(fs::file_size(LAMBDAML_TEST_ZIP), 10'000'000U);
  const std::string root = (folder() / "root").string();
  const std::string unpack = std::string("/usr/bin/python3 -m zipfile -e ") + LAMBDAML_TEST_ZIP +
                             " " + root + " && chmod -R u+rwX " + root + " && chmod 755 " + root +
                             "/bootstrap " + root + "/bin/lambdaml-worker " + root + "/lib/loader";
  ASSERT_EQ(std::system(unpack.c_str()), 0);
  // Nobody listens there: the worker says so, which it can only do when it runs.
  const std::string run =
      "env -i LAMBDA_TASK_ROOT=/ AWS_LAMBDA_RUNTIME_API=127.0.0.1:9 /usr/sbin/chroot " + root +
      " /bootstrap > " + root + "/said 2>&1";
  EXPECT_NE(std::system(run.c_str()), 0);
  const std::string said = read(fs::path(root) / "said");
  EXPECT_NE(said.find("127.0.0.1:9"), std::string::npos) << said;
  EXPECT_NE(said.find("\"level\":\"error\""), std::string::npos) << said;
}

}  // namespace
}  // namespace lambdaml::e2e
