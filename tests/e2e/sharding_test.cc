// Jobs whose aggregators share out the optimizer's state.
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

using testing::HasSubstr;

struct ShardKind {
  std::string name;
  std::vector<std::string> options;
};

void PrintTo(const ShardKind& kind, std::ostream* out) { *out << kind.name; }

class ShardedJob : public CliTest, public testing::WithParamInterface<ShardKind> {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "3000", "--seed", "7", "-q", "-o",
                        "rows.libsvm"})
                  .exit_code,
              0);
  }
  std::vector<std::string> job(const std::string& output,
                               const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--data",       "rows.libsvm", "--model",  "lr",
                                          "--workers",    "4",           "--seed",   "5",
                                          "--batch-size", "50",          "--output", output};
    arguments.insert(arguments.end(), GetParam().options.begin(), GetParam().options.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::string model_of(const std::string& output) const {
    return read(folder() / output / "model.safetensors");
  }
  /// The parameters, without the options that a model file records.
  void expect_same(const std::string& output, const std::string& other) const {
    EXPECT_EQ(model_of(output), model_of(other)) << output << ", " << other;
  }
};

INSTANTIATE_TEST_SUITE_P(
    , ShardedJob,
    testing::Values(ShardKind{"momentum",
                              {"--optim", "grad_avg", "--lr", "0.1", "--momentum", "0.9"}},
                    ShardKind{"adamw",
                              {"--optimizer", "adamw", "--lr", "0.01", "--l2", "0.01",
                               "--clip-norm", "0.2", "--ema", "0.9", "--lr-schedule", "one_cycle"}},
                    ShardKind{"lars", {"--optimizer", "lars", "--lr", "1", "--l2", "0.01"}}),
    [](const auto& info) { return info.param.name; });

TEST_P(ShardedJob, HasTheModelOfAnUnshardedOne) {
  train(job("whole", {"--epochs", "4"}));
  train(job("sharded", {"--epochs", "4", "--shard-optimizer", "--sync-mode", "reduce_scatter"}));
  train(job("two", {"--epochs", "4", "--shard-optimizer", "--aggregators", "2"}));
  train(job("cut", {"--epochs", "4", "--shard-optimizer", "--sync-mode", "reduce_scatter",
                    "--run-epochs", "1"}));
  for (const char* output : {"sharded", "two", "cut"}) expect_same(output, "whole");
}

TEST_P(ShardedJob, GoesOnWithOtherAggregatorsToTheSameModel) {
  train(job("whole", {"--epochs", "6"}));
  int number = 0;
  for (const std::vector<std::string>& change : std::vector<std::vector<std::string>>{
           {"--aggregators", "2"}, {"--aggregators", "1"}, {"--no-shard-optimizer"}}) {
    const std::string output = "cut" + std::to_string(number++);
    train(job(output,
              {"--epochs", "6", "--shard-optimizer", "--aggregators", "3", "--stop-after", "2"}));
    std::vector<std::string> arguments = {"resume", output, "-q", "--json"};
    arguments.insert(arguments.end(), change.begin(), change.end());
    const Result resumed = lambdaml(arguments);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    expect_same(output, "whole");
  }
}

TEST_P(ShardedJob, AKilledAggregatorIsReplacedAndTheModelIsTheSame) {
  const std::vector<std::string> more = {
      "--epochs", "200", "--sync-mode", "reduce_scatter", "--checkpoint-every", "7"};
  train(job("whole", more));
  std::vector<std::string> arguments = job("killed", more);
  arguments.insert(arguments.begin(), {"train", "--json", "--shard-optimizer"});
  Command command(folder(), arguments);
  for (const int epochs : {9, 40}) {
    ASSERT_TRUE(wait_for_epochs(command, folder() / "killed" / "metrics.jsonl", epochs));
    const std::vector<pid_t> workers = command.workers();
    ASSERT_EQ(workers.size(), 4U);
    ::kill(workers[epochs == 9 ? 1 : 0], SIGKILL);
  }
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("SIGKILL"));
  expect_same("killed", "whole");
}

class ShardingRefused : public CliTest {};

TEST_F(ShardingRefused, InOneLine) {
  ASSERT_EQ(
      lambdaml({"data", "synth", "higgs", "--rows", "100", "-q", "-o", "rows.libsvm"}).exit_code,
      0);
  const auto refusal = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"train", "--data", "rows.libsvm", "--optim", "grad_avg",
                               "--shard-optimizer", "--workers", "2", "--output", "run"});
    const Result result = lambdaml(more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    return result.err;
  };
  EXPECT_THAT(refusal({"--optimizer", "adam", "--sync-mode", "async"}),
              HasSubstr("a sync mode that waits"));
  EXPECT_THAT(refusal({"--momentum", "0.9", "--compress", "bf16"}), HasSubstr("--moments merged"));
}

}  // namespace
}  // namespace lambdaml::e2e
