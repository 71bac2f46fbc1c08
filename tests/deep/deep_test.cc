// Deep models: whole jobs, against PyTorch where that says what is right.
#include "deep/deep.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST_F(Deep, MobileNetLearnsAndPyTorchLoadsWhatItLearned) {
  REQUIRE_PYTHON_TORCH();
  synth("320", "images.bin");
  const nlohmann::json summary =
      train({"--data", "images.bin",   "--model",     "mobilenet",    "--workers",
             "2",      "--epochs",     "6",           "--batch-size", "16",
             "--lr",   "0.02",         "--momentum",  "0.9",          "--valid-ratio",
             "0",      "--no-augment", "--memory-mb", "3008",         "--output",
             "run"});
  std::istringstream lines(read(folder() / "run" / "metrics.jsonl"));
  std::vector<double> losses;
  for (std::string line; std::getline(lines, line);)
    losses.push_back(nlohmann::json::parse(line).at("train_loss"));
  ASSERT_EQ(losses.size(), 6);
  EXPECT_LT(losses.back(), losses.front() / 2) << testing::PrintToString(losses);

  const Result predicted = lambdaml({"predict", "--model", "run/model.safetensors", "--data",
                                     "images.bin", "--out", "labels.txt", "--json"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  // By the merged statistics the final model is as good on its training images as it is told.
  EXPECT_NEAR(predicted.json().at("log_loss"), summary.at("train_loss"), 1e-4);
  const std::vector<double> theirs =
      python({"loads", "mobilenet", "run/model.safetensors", "images.bin", "labels.txt"});
  ASSERT_EQ(theirs.size(), 2);
  EXPECT_EQ(theirs[0], 1.0);  // the same labels
  EXPECT_NEAR(theirs[1], predicted.json().at("log_loss"), 1e-4);
}

TEST_F(Deep, InitialWeightsGradientsAndStatisticsArePyTorchs) {
  REQUIRE_PYTHON_TORCH();
  synth("8", "images.bin");
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"mobilenet", "train"}, {"mobilenet", "eval"}, {"resnet18", "eval"}, {"resnet50", "eval"}};
  for (const auto& [model, mode] : kCases) {
    const std::string lr = "0.1";
    std::vector<std::string> arguments = {
        "--data",      "images.bin", "--model",  model,          "--workers",
        "1",           "--epochs",   "1",        "--batch-size", "8",
        "--lr",        lr,           "--l2",     "0.01",         "--valid-ratio",
        "0",           "--seed",     "3",        "--no-augment", "--no-shuffle",
        "--memory-mb", "3008",       "--output", model + mode};
    if (mode == "eval") arguments.push_back("--freeze-batch-norm");
    train(arguments);
    const std::vector<double> worst = python(
        {"steps", model, mode, "3", model + mode + "/model.safetensors", "images.bin", lr, "0.01"});
    ASSERT_EQ(worst.size(), 2);
    // Winograd's algorithm (ADR 83) adds to the rounding of each of ResNet-50's layers.
    const double frozen = model == "resnet50" ? 3e-4 : 1e-4;
    EXPECT_LT(worst[0], mode == "eval" ? frozen : 0.1) << model << " " << mode;
    EXPECT_LT(worst[1], 1e-4) << model << " " << mode;
  }
}

TEST_F(Deep, WorkersWithFrozenStatisticsAreOneWithTheirBatches) {
  REQUIRE_PYTHON_TORCH();
  synth("64", "images.bin");
  const std::string model = small();
  for (const char* workers : {"1", "2", "4"})
    train({"--data",        "images.bin",
           "--model",       model,
           "--workers",     workers,
           "--epochs",      "2",
           "--batch-size",  std::to_string(16 / std::stoi(workers)),
           "--no-shuffle",  "--lr",
           "0.05",          "--momentum",
           "0.9",           "--freeze-batch-norm",
           "--valid-ratio", "0",
           "--output",      workers});
  EXPECT_LT(difference("1", "2"), 1e-4);
  EXPECT_LT(difference("1", "4"), 1e-4);
  EXPECT_GT(difference("1", "2"), 0);  // or nothing was compared
}

TEST_F(Deep, PatternsContinuationsAndOptimizersGiveTheSameBits) {
  REQUIRE_PYTHON_TORCH();
  synth("64", "images.bin");
  const std::string model = small();
  for (const std::vector<std::string>& kind : std::vector<std::vector<std::string>>{
           {"--optim", "grad_avg", "--compress", "int8"},
           {"--optim", "grad_avg", "--compress", "topk", "--label-smoothing", "0.1"},
           {"--optim", "model_avg", "--compress", "bf16", "--precision", "bf16"}}) {
    const std::string name = testing::PrintToString(kind);
    const auto run = [&](const std::vector<std::string>& more) {
      std::vector<std::string> arguments = kind;
      arguments.insert(arguments.end(), more.begin(), more.end());
      fs::remove_all(folder() / "run");
      train_small(model, arguments, "run");
      return model_of("run");
    };
    const std::string whole = run({});
    EXPECT_EQ(run({"--sync-mode", "reduce_scatter", "--run-epochs", "1"}), whole) << name;
  }
}

TEST_F(Deep, AnyScriptedClassifierIsTrainedAndUsedAgain) {
  REQUIRE_PYTHON_TORCH();
  synth("200", "images.bin");
  const nlohmann::json summary = train_small(small(), {"--epochs", "8", "--no-augment"}, "run");
  EXPECT_LT(summary.at("train_loss"), 1.2);  // ln 10 at the start
  fs::remove(folder() / "good.pt");          // the model file carries it
  const Result predicted = lambdaml(
      {"predict", "--model", "run/model.safetensors", "--data", "images.bin", "--json", "-q"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_GT(predicted.json().at("accuracy"), 0.6);
}

TEST_F(Deep, ScriptedClassifiersComputeInBfloat16WhenAsked) {
  REQUIRE_PYTHON_TORCH();
  synth("200", "images.bin");
  const auto loss = [this](const std::string& precision) {
    return train_small(small(), {"--epochs", "3", "--no-augment", "--precision", precision},
                       precision)
        .at("train_loss")
        .get<double>();
  };
  const double wide = loss("fp32");
  const double narrow = loss("bf16");
  EXPECT_NE(narrow, wide);
  EXPECT_NEAR(narrow, wide, 0.02 * wide);  // a bfloat16 has 8 bits
}

TEST_F(Deep, BadInputIsOneClearLine) {
  REQUIRE_PYTHON_TORCH();
  synth("40", "images.bin");
  const std::string good = read(folder() / "images.bin");
  write("cut.bin", good.substr(0, good.size() - 100));
  std::string labelled = good;
  labelled[3073 * 7] = 11;
  write("label.bin", labelled);
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "40", "-o", "higgs.libsvm"}).exit_code,
            0);
  const auto check = [&](const std::vector<std::string>& arguments, const std::string& says,
                         int code) {
    std::vector<std::string> all = {"train", "-q", "--workers", "2", "--batch-size", "8"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = lambdaml(all);
    EXPECT_EQ(result.exit_code, code) << says << result.err;
    EXPECT_THAT(result.err, HasSubstr(says));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  check({"--data", "cut.bin", "--model", "mobilenet", "--format", "cifar10"},
        "image 40 is cut off after 2973", 2);
  check({"--data", "label.bin", "--model", "mobilenet", "--format", "cifar10"},
        "image 8 has the label 11", 2);
  check({"--data", "higgs.libsvm", "--model", "resnet18"}, "rows have 28", 2);
  check({"--data", "images.bin", "--model", "mobilenet", "--memory-mb", "256"},
        "a larger --memory-mb", 2);
  check({"--data", "images.bin", "--model", "mobilenet", "--optim", "admm"}, "admm needs a model",
        2);
  check({"--data", "images.bin", "--model", "lr", "--optim", "admm", "--compress", "int8"},
        "admm merges states", 2);
  check({"--data", "images.bin", "--model", small("parameters")}, "carries no parameters", 2);
  check({"--data", "images.bin", "--model", small("logits")}, "the loss takes logits", 2);
  check({"--data", "images.bin", "--model", small("classes")},
        "it returns [7] for a row, and the data have 10 classes", 2);
  // What the script does wrong, in libtorch's words.
  check({"--data", "images.bin", "--model", small("sizes")},
        "libtorch says: RuntimeError: mat1 and mat2 shapes cannot be multiplied", 2);
  check({"--data", "images.bin", "--model", "torchscript:images.bin"}, "no TorchScript file", 2);
  check({"--data", "images.bin", "--model", "torchscript:none.pt"}, "no such file", 2);
  check({"--data", "images.bin", "--model", "torchscript"}, "name the file", 2);
}

TEST_F(Deep, DivergenceSaysWhereAndKeepsTheLastGoodCheckpoint) {
  REQUIRE_PYTHON_TORCH();
  synth("64", "images.bin");
  const std::string model = small();
  train_small(model, {}, "run");
  const Result diverged =
      lambdaml({"train", "-q", "--data", "images.bin", "--model", model, "--workers", "2",
                "--batch-size", "8", "--lr", "1e30", "--epochs", "3", "--output", "bad"});
  EXPECT_EQ(diverged.exit_code, 1);
  EXPECT_THAT(diverged.err, HasSubstr("training diverged in epoch 1, round "));
}

TEST_F(Deep, PackagesAContainer) {
  const Result packed = lambdaml({"package", "--with", "torch", "-o", "image"});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_TRUE(fs::exists(folder() / "image" / "bin" / "lambdaml-worker"));
  EXPECT_TRUE(fs::exists(folder() / "image" / "bin" / "liblambdaml_torch.so"));
  const std::string dockerfile = read(folder() / "image" / "Dockerfile");
  EXPECT_THAT(dockerfile, HasSubstr("libtorch1.13"));
  EXPECT_THAT(dockerfile, HasSubstr("ENTRYPOINT [\"/var/task/bin/lambdaml-worker\"]"));
}

}  // namespace
}  // namespace lambdaml::e2e
