// Deep jobs that are killed end with the bits of those that were not.
#include <csignal>
#include <sstream>

#include <gmock/gmock.h>

#include "deep/deep.h"

namespace lambdaml::e2e {
namespace {

struct Kind {
  std::string name;
  std::vector<std::string> options;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

/// The momentum, the error feedback and the places in the seeded augmentation and dropout have to
/// come back as they were.
class DeepRecovery : public Deep, public testing::WithParamInterface<Kind> {
 protected:
  std::vector<std::string> job(const std::string& output) const {
    std::vector<std::string> arguments = {
        "train",     "--json", "--data",     "images.bin", "--model",      "torchscript:good.pt",
        "--workers", "2",      "--epochs",   "60",         "--batch-size", "8",
        "--lr",      "0.01",   "--momentum", "0.9",        "--output",     output};
    arguments.insert(arguments.end(), GetParam().options.begin(), GetParam().options.end());
    return arguments;
  }
  /// The loss after each epoch.
  std::vector<double> losses(const std::string& output) const {
    std::istringstream lines(read(folder() / output / "metrics.jsonl"));
    std::vector<double> out;
    for (std::string line; std::getline(lines, line);)
      out.push_back(nlohmann::json::parse(line).at("train_loss"));
    return out;
  }
  void prepare() const {
    synth("160", "images.bin");
    small();
    const Result whole = lambdaml(job("whole"));
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
  }
};

INSTANTIATE_TEST_SUITE_P(, DeepRecovery,
                         testing::Values(Kind{"grad_avg_topk", {"--compress", "topk"}},
                                         Kind{"model_avg_reduce_scatter_bf16",
                                              {"--optim", "model_avg", "--sync-mode",
                                               "reduce_scatter", "--precision", "bf16"}}),
                         [](const auto& info) { return info.param.name; });

TEST_P(DeepRecovery, ResumesToTheBitwiseSameModel) {
  REQUIRE_PYTHON_TORCH();
  prepare();
  Command command(folder(), job("cut"));
  ASSERT_TRUE(wait_for_epochs(command, folder() / "cut" / "metrics.jsonl", 3));
  command.signal(SIGKILL);
  ASSERT_EQ(command.wait().exit_code, 128 + SIGKILL) << "the job ended before it could be killed";
  const Result resumed = lambdaml({"resume", "cut", "--json", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(model_of("cut"), model_of("whole"));
  EXPECT_EQ(losses("cut"), losses("whole"));
}

TEST_P(DeepRecovery, AKilledWorkerIsReplacedAndTheModelIsTheSame) {
  REQUIRE_PYTHON_TORCH();
  prepare();
  Command command(folder(), job("killed"));
  ASSERT_TRUE(wait_for_epochs(command, folder() / "killed" / "metrics.jsonl", 3));
  const std::vector<pid_t> workers = command.workers();
  ASSERT_EQ(workers.size(), 2U);
  ::kill(workers[1], SIGKILL);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("SIGKILL"));
  EXPECT_EQ(model_of("killed"), model_of("whole"));
}

}  // namespace
}  // namespace lambdaml::e2e
