// Functions packaged, deployed to a Lambda service of this machine, and trained on.
#include <chrono>
#include <optional>
#include <thread>

#include <signal.h>
#include <unistd.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class Lambda : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_REAL_DATA();
    keys_ = {"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
             "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"};
    emulator_.emplace(folder(), std::vector<std::string>{"emulate", "--port", "0"}, keys_);
    const std::string before = "listening on ";
    std::string out;
    for (int i = 0; i < 1000 && out.find('\n') == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      out = emulator_->out_so_far();
    }
    const std::size_t at = out.find(before);
    ASSERT_NE(at, std::string::npos) << out;
    keys_.push_back("AWS_ENDPOINT_URL_LAMBDA=" +
                    out.substr(at + before.size(), out.find('\n') - at - before.size()));
    const Result packed = lambdaml({"package", "-o", "lambdaml.zip"});
    ASSERT_EQ(packed.exit_code, 0) << packed.err;
  }

  void TearDown() override {
    if (emulator_) {
      emulator_->signal(SIGTERM);
      EXPECT_EQ(emulator_->wait().exit_code, 0);
    }
    CliTest::TearDown();
  }

  Result with_keys(std::vector<std::string> arguments) const { return lambdaml(arguments, keys_); }

  nlohmann::json deploy(const std::string& name, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"deploy",
                                       "--zip",
                                       "lambdaml.zip",
                                       "--function",
                                       name,
                                       "--role",
                                       "arn:aws:iam::123456789012:role/test",
                                       "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = with_keys(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json();
  }

  std::string channel() const { return "file://" + (folder() / "channel").string(); }

  /// Trains in functions of that name; the summary.
  nlohmann::json train_there(const std::string& function, std::vector<std::string> more) const {
    std::vector<std::string> arguments{"train",  "--platform", "aws",     "--function",
                                       function, "--channel",  channel(), "--workers",
                                       "2",      "--json",     "-q"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = with_keys(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json();
  }

  std::vector<std::string> keys_;
  std::optional<Command> emulator_;
};

TEST_F(Lambda, DeployedFunctionsTrainTheModelOfLocalOnes) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  const std::vector<std::string> job{"--data", real_data("agaricus.train.libsvm"), "--epochs", "3"};
  std::vector<std::string> local = job;
  local.insert(local.end(), {"--workers", "2", "--output", "local"});
  train(local);
  std::vector<std::string> there = job;
  there.insert(there.end(), {"--output", "there"});
  const nlohmann::json summary = train_there("lambdaml-worker", there);
  EXPECT_TRUE(read(folder() / "local/model.safetensors") ==
              read(folder() / "there/model.safetensors"));
  EXPECT_EQ(summary["invocations"], 2);
  // The workers' logs are where any machine can see them.
  EXPECT_NE(with_keys({"logs", "there", "--worker", "1"}).out.find("loaded"), std::string::npos);
  EXPECT_EQ(with_keys({"status", "there", "--json"}).json()["state"], "done");
}

TEST_F(Lambda, AJobLongerThanItsFunctionsGoesOnInFreshOnes) {
  deploy("short", {"--timeout-s", "2"});
  const std::vector<std::string> job{
      "--data", real_data("higgs.train.libsvm"), "--batch-size", "10", "--epochs", "80"};
  std::vector<std::string> local = job;
  local.insert(local.end(), {"--workers", "2", "--output", "local"});
  train(local);
  std::vector<std::string> there = job;
  there.insert(there.end(), {"--output", "there"});
  EXPECT_GT(train_there("short", there)["invocations"], 2);
  EXPECT_TRUE(read(folder() / "local/model.safetensors") ==
              read(folder() / "there/model.safetensors"));
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

TEST_F(Lambda, ASecondDeployChangesNothingAndOnlyOursAreDestroyed) {
  deploy("lambdaml-worker");
  const Result again =
      with_keys({"deploy", "--zip", "lambdaml.zip", "--function", "lambdaml-worker", "--dry-run"});
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
  const std::string root = (folder() / "root").string();
  const std::string unpack = "/usr/bin/python3 -m zipfile -e " +
                             (folder() / "lambdaml.zip").string() + " " + root +
                             " && chmod -R u+rwX " + root + " && chmod 755 " + root +
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
