// Jobs that are longer than one function may live.
#include <filesystem>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

struct Kind {
  std::string name;
  std::vector<std::string> arguments;
};

void PrintTo(const Kind& job, std::ostream* out) { *out << job.name; }

class Continuation : public CliTest, public testing::WithParamInterface<Kind> {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_REAL_DATA();
  }

  nlohmann::json run(std::vector<std::string> arguments, const std::string& output) const {
    for (const char* more : {"--workers", "3", "--output"}) arguments.emplace_back(more);
    arguments.push_back(output);
    return train(arguments);
  }
};

std::vector<std::string> with(std::vector<std::string> arguments,
                              const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_P(Continuation, AnEpochAnInvocationGivesTheModelOfOneLongRun) {
  std::vector<std::string> arguments = GetParam().arguments;
  arguments.insert(arguments.begin(), {"--data", real_data("agaricus.train.libsvm")});
  const nlohmann::json whole = run(arguments, "whole");
  const nlohmann::json cut = run(with(arguments, {"--run-epochs", "1"}), "cut");
  EXPECT_EQ(whole["invocations"], 3);
  // One for each epoch of each worker; none is left over after the last.
  EXPECT_EQ(cut["invocations"], 3 * cut["epochs"].get<int>());
  EXPECT_EQ(cut["rounds"], whole["rounds"]);
  EXPECT_TRUE(read(folder() / "cut/model.safetensors") ==
              read(folder() / "whole/model.safetensors"));
  // The seconds of an epoch differ; its losses do not.
  const std::string lines = read(folder() / "cut/metrics.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), cut["epochs"].get<int>());
}

INSTANTIATE_TEST_SUITE_P(
    Jobs, Continuation,
    testing::Values(Kind{"lr_grad_avg", {"--epochs", "4", "--momentum", "0.9"}},
                    Kind{"svm_model_avg",
                         {"--model", "svm", "--optim", "model_avg", "--sync-mode", "reduce_scatter",
                          "--epochs", "3"}},
                    Kind{"lr_admm", {"--optim", "admm", "--admm-epochs", "4", "--epochs", "2"}},
                    Kind{"kmeans", {"--model", "kmeans", "--clusters", "5", "--epochs", "6"}},
                    Kind{"rare_checkpoints", {"--epochs", "5", "--checkpoint-every", "3"}}),
    [](const auto& info) { return info.param.name; });

class ShortLives : public CliTest {};

// 80 epochs of some 210 rounds: several lives of 1.5 s, cut wherever they end.
TEST_F(ShortLives, FunctionsCutInTheMidstOfAnEpochGiveTheModelOfOneLongRun) {
  REQUIRE_REAL_DATA();
  const std::vector<std::string> arguments{
      "--data", real_data("higgs.train.libsvm"), "--workers", "3", "--batch-size", "10", "--epochs",
      "80"};
  train(with(arguments, {"--output", "whole"}));
  const nlohmann::json cut = train(with(arguments, {"--timeout-s", "1.5", "--output", "cut"}));
  EXPECT_GT(cut["invocations"], 3);
  EXPECT_TRUE(read(folder() / "cut/model.safetensors") ==
              read(folder() / "whole/model.safetensors"));
  EXPECT_NE(read(folder() / "cut/log/worker-0.log").find("suspended in epoch"), std::string::npos);
}

TEST_F(ShortLives, AFunctionTooShortForOneStepSaysSo) {
  REQUIRE_REAL_DATA();
  const Result result = lambdaml({"train", "--data", real_data("higgs.train.libsvm"), "--workers",
                                  "2", "--timeout-s", "0.15", "--output", "out", "-q"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_TRUE(result.err.find("--timeout-s") != std::string::npos ||
              result.err.find("timed out") != std::string::npos)
      << result.err;
}

}  // namespace
}  // namespace lambdaml::e2e
