// Workers that begin while the server of their channel is away, or has lost what it held.
#include <chrono>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "integration/stores.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

/// Those that lose all when they start again.
std::vector<std::string> forgetting(const std::vector<std::string>& some) {
  return servers::wants_all_faults() ? std::vector<std::string>{"redis", "memcached", "ps"} : some;
}

class LostJobs : public CliTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_STORE(GetParam());
    REQUIRE_REAL_DATA();
  }
  const servers::Server& server() const { return servers::get(GetParam()); }
  std::string place() const { return server().uri + "/" + folder().filename().string(); }

  /// Long enough that the server goes while it runs, whatever a round takes.
  std::vector<std::string> job() const {
    return {"--data",   real_data("higgs.train.libsvm"),   "--workers",    "3",
            "--epochs", GetParam() == "s3" ? "12" : "100", "--batch-size", "100"};
  }
  std::string expected() const { return read(train(job()).at("model_path").get<std::string>()); }
  std::unique_ptr<Command> start(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train", "--json",   "-q", "--channel",
                                          place(), "--output", "run"};
    const std::vector<std::string> all = job();
    arguments.insert(arguments.end(), all.begin(), all.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto command = std::make_unique<Command>(folder(), arguments);
    EXPECT_TRUE(wait_for_epochs(*command, folder() / "run" / "metrics.jsonl", 1));
    return command;
  }
  /// The job must end soon, as lost, and go on from its checkpoints to the model.
  void expect_lost(Command& command, const std::string& model) const {
    const Stopwatch clock;
    const Result result = command.wait();
    // The others' patience with a worker that does not come back is 300 s.
    EXPECT_LT(clock.seconds(), 40);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("it has lost what the job wrote"), HasSubstr("lambdaml resume")));
    const Result resumed = lambdaml({"resume", "run", "-q"});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(read(folder() / "run" / "model.safetensors") == model, true);
  }
};

class LostToAServerThatForgets : public LostJobs {
 protected:
  void SetUp() override {
    LostJobs::SetUp();
    if (IsSkipped()) return;
    model_ = expected();
  }
  std::string model_;
};
INSTANTIATE_TEST_SUITE_P(, LostToAServerThatForgets, testing::ValuesIn(forgetting({"redis", "ps"})),
                         [](const auto& info) { return info.param; });

TEST_P(LostToAServerThatForgets, EndAtOnceWhenAWorkerBeginsAnew) {
  const std::unique_ptr<Command> command = start();
  const std::vector<pid_t> workers = command->workers();
  ASSERT_FALSE(workers.empty());
  server().stop();
  ::kill(workers[0], SIGKILL);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  server().start();
  expect_lost(*command, model_);
}

class LostBetweenInvocations : public LostToAServerThatForgets {};
INSTANTIATE_TEST_SUITE_P(, LostBetweenInvocations, testing::ValuesIn(forgetting({"memcached"})),
                         [](const auto& info) { return info.param; });

TEST_P(LostBetweenInvocations, EndAtOnce) {
  const std::unique_ptr<Command> command = start({"--run-epochs", "4"});
  server().stop();
  server().start();
  expect_lost(*command, model_);
}

class NotLost : public LostJobs {};
INSTANTIATE_TEST_SUITE_P(, NotLost, testing::Values("s3"),
                         [](const auto& info) { return info.param; });

TEST_P(NotLost, AWorkerThatBeginsWhileTheServerIsAwayWaitsForIt) {
  const std::string model = expected();
  const std::unique_ptr<Command> command = start();
  const std::vector<pid_t> workers = command->workers();
  ASSERT_EQ(workers.size(), 3U);
  server().stop();
  ::kill(workers[1], SIGKILL);
  std::this_thread::sleep_for(std::chrono::seconds(5));
  server().start();
  const Result result = command->wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(folder() / "run" / "model.safetensors") == model, true);
}

}  // namespace
}  // namespace lambdaml::e2e
