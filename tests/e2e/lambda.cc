#include "e2e/lambda.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <signal.h>

#include "lambdaml/base/testing/testing.h"

namespace lambdaml::e2e {

namespace fs = std::filesystem;

Lambda::Lambda(std::vector<std::string> settings, std::vector<std::string> keys)
    : settings_(std::move(settings)), keys_(std::move(keys)) {
  keys_.insert(keys_.end(), {"AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"});
}

void Lambda::SetUp() {
  CliTest::SetUp();
  REQUIRE_REAL_DATA();
  // CI builds without sanitizers, so all these tests run there.
#ifdef LAMBDAML_SANITIZED
  GTEST_SKIP() << "a worker with a sanitizer does not fit what Lambda takes";
#endif
  memory_ = fs::exists("/dev/shm") ? "/dev/shm" / folder().filename() : folder();
  std::vector<std::string> arguments{"emulate", "--port", "0"};
  arguments.insert(arguments.end(), settings_.begin(), settings_.end());
  emulator_.emplace(folder(), arguments, keys_);
  const std::string before = "listening on ";
  std::string out;
  for (int i = 0; i < 1000 && out.find('\n') == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    out = emulator_->out_so_far();
  }
  const std::size_t at = out.find(before);
  ASSERT_NE(at, std::string::npos) << out;
  endpoint_ = out.substr(at + before.size(), out.find('\n') - at - before.size());
  keys_.push_back("AWS_ENDPOINT_URL_LAMBDA=" + endpoint_);
}

void Lambda::TearDown() {
  if (emulator_) {
    emulator_->signal(SIGTERM);
    EXPECT_EQ(emulator_->wait().exit_code, 0);
  }
  if (!memory_.empty()) fs::remove_all(memory_);
  CliTest::TearDown();
}

nlohmann::json Lambda::deploy(const std::string& name, std::vector<std::string> more) const {
  std::vector<std::string> arguments{"deploy",
                                     "--zip",
                                     LAMBDAML_TEST_ZIP,
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

std::unique_ptr<Command> Lambda::start(const std::vector<std::string>& arguments,
                                       const std::vector<std::string>& environment) const {
  std::vector<std::string> all = keys_;
  all.insert(all.end(), environment.begin(), environment.end());
  return std::make_unique<Command>(folder(), arguments, all);
}

nlohmann::json Lambda::train_there(const std::string& function,
                                   std::vector<std::string> more) const {
  std::vector<std::string> arguments{"train",     "--platform", "aws",    "--function", function,
                                     "--channel", channel(),    "--json", "-q"};
  if (std::ranges::find(more, "--workers") == more.end())
    arguments.insert(arguments.end(), {"--workers", "2"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Result result = with_keys(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.json();
}

nlohmann::json Lambda::expect_the_local_model(const std::string& function,
                                              const std::vector<std::string>& job) const {
  fs::remove_all(folder() / "local");
  std::vector<std::string> local = job;
  local.insert(local.end(), {"--workers", "2", "--output", "local"});
  train(local);
  std::vector<std::string> there = job;
  there.insert(there.end(), {"--output", "there"});
  nlohmann::json summary = train_there(function, there);
  EXPECT_TRUE(read(folder() / "local/model.safetensors") ==
              read(folder() / "there/model.safetensors"));
  return summary;
}

int Lambda::epochs_longer_than(double seconds, const std::vector<std::string>& job) const {
  for (int epochs = 80;; epochs *= 2) {
    const nlohmann::json summary = train_locally(epochs, job);
    if (summary.value("wall_s", seconds + 1) > seconds) return epochs;
  }
}

nlohmann::json Lambda::train_locally(int epochs, std::vector<std::string> job) const {
  fs::remove_all(folder() / "local");
  job.insert(job.end(),
             {"--workers", "2", "--epochs", std::to_string(epochs), "--output", "local"});
  return train(job);
}

void Lambda::expect_the_local_model_of_several(const std::string& function, double seconds) const {
  const std::vector<std::string> job{"--data", real_data("higgs.train.libsvm"), "--batch-size",
                                     "10"};
  // What takes so long while other tests run may take less now.
  int epochs = epochs_longer_than(seconds, job);
  for (int tries = 0; tries < 4; ++tries, epochs *= 3) {
    std::vector<std::string> longer = job;
    longer.insert(longer.end(), {"--epochs", std::to_string(epochs)});
    if (expect_the_local_model(function, longer)["invocations"] > 2) return;
    fs::remove_all(folder() / "there");
  }
  FAIL() << "jobs of " << epochs / 3 << " epochs still end in their first functions";
}

void Lambda::expect_to_outlive_its_trigger(nlohmann::json event, const fs::path& kept) const {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  deploy("lambdaml-trigger",
         {"--handler", "trigger", "--timeout-s", "7"});  // 2 of them for the job
  event.update({{"data", real_data("higgs.train.libsvm")}, {"batch_size", 10}, {"workers", 2}});
  const std::vector<std::string> job{"--data",    event["data"],   "--batch-size",
                                     "10",        "--platform",    event.value("platform", "local"),
                                     "--channel", event["channel"]};
  int epochs = epochs_longer_than(4, job);
  Result begun;
  // What takes 4 s while other tests run may take less now.
  for (int tries = 0; tries < 4; ++tries, epochs *= 3) {
    event["epochs"] = epochs;
    begun = with_keys({"invoke", "lambdaml-trigger", "--payload", event.dump()});
    ASSERT_EQ(begun.exit_code, 0) << begun.err;
    if (begun.json().contains("status")) break;
    train_locally(epochs * 3, job);
  }
  ASSERT_EQ(begun.json()["status"], "to_be_continued") << begun.out;
  const fs::path model = kept / begun.json()["job_id"].get<std::string>() / "model.safetensors";
  for (int i = 0; i < 1000 && !fs::exists(model); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_TRUE(fs::exists(model));
  EXPECT_TRUE(read(model) == read(folder() / "local/model.safetensors"));
}

}  // namespace lambdaml::e2e
