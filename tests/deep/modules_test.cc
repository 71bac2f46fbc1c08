// Modules of one's own: the examples and other inputs, losses and files, against PyTorch.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "deep/deep.h"
#include "lambdaml/base/files.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Modules : public Deep {
 protected:
  std::vector<double> losses_of(const std::string& output) const {
    std::istringstream lines(read(folder() / output / "metrics.jsonl"));
    std::vector<double> losses;
    for (std::string line; std::getline(lines, line);)
      losses.push_back(nlohmann::json::parse(line).at("train_loss"));
    return losses;
  }

  /// 28 columns and a number of each row, near a line.
  void write_line(const std::string& name, std::size_t rows) const {
    std::ofstream out(folder() / name);
    for (std::size_t j = 0; j < 28; ++j) out << "x" << j << ",";
    out << "y\n";
    for (std::size_t i = 0; i < rows; ++i) {
      double y = 0.5;
      for (std::size_t j = 0; j < 28; ++j) {
        const std::size_t step = (7 + j) % 11 == 0 ? 3 : 7 + j;
        const double x = static_cast<double>((i * step + j * 13) % 11) / 11;
        y += x * (static_cast<double>(j % 5) - 2);
        out << x << ",";
      }
      out << y + 0.25 << "\n";
    }
  }

  Result fails(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all = {"train", "-q", "--workers", "2", "--batch-size", "8"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    Result result = lambdaml(all);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    return result;
  }
};

struct Example {
  std::string name, data, loss, optimizer, lr, other;
  std::size_t batch;  ///< four workers share it evenly
};
void PrintTo(const Example& one, std::ostream* out) { *out << one.name; }

class ModuleExamples : public Modules, public testing::WithParamInterface<Example> {
 protected:
  void SetUp() override {
    Modules::SetUp();
    REQUIRE_PYTHON_TORCH();
    const std::string script = example_path(".py");
    ASSERT_EQ(std::system(("cd " + folder().string() + " && /usr/bin/python3 " + script).c_str()),
              0);
  }

  std::string example_path(const std::string& suffix) const {
    return LAMBDAML_SOURCE_DIR "/examples/torchscript/" + GetParam().name + suffix;
  }
  std::string data() const {
    return GetParam().data.find("higgs") == 0 ? real_data(GetParam().data)
                                              : (folder() / GetParam().data).string();
  }
  std::vector<double> trained(const std::string& output, std::size_t workers, std::size_t batch,
                              const std::string& epochs) const {
    const nlohmann::json summary =
        train({example_path(".yaml"), "--data", data(), "--workers", std::to_string(workers),
               "--batch-size", std::to_string(batch / workers), "--epochs", epochs, "--valid-ratio",
               "0", "--no-shuffle", "--output", output});
    // The other examples have two or four classes, or none.
    EXPECT_EQ(summary.contains("train_accuracy_top5"), GetParam().name == "lenet");
    return losses_of(output);
  }
  std::vector<double> theirs(std::size_t batch, const std::string& epochs) const {
    const Example& one = GetParam();
    return python({"trains", one.name + ".pt", data(), one.loss, one.optimizer, one.lr, one.other,
                   std::to_string(batch), epochs});
  }
  static void expect_equal(const std::vector<double>& a, const std::vector<double>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * std::abs(b[i])) << i;
  }
};

// The hyperparameters are those of the job files; the batches are larger, so that 20 steps take
// few or, with all rows in one, exactly that many epochs.
INSTANTIATE_TEST_SUITE_P(
    , ModuleExamples,
    testing::Values(
        Example{"tabular", "higgs.train.libsvm", "cross_entropy", "adamw", "0.001", "0.01", 1752},
        Example{"lenet", "train-images-idx3-ubyte", "cross_entropy", "sgd", "0.1", "0.9", 452},
        Example{"text", "text.npz", "cross_entropy", "adam", "0.01", "0", 500},
        Example{"regression", "diabetes.csv", "mse", "sgd", "0.05", "0.9", 112}),
    [](const auto& info) { return info.param.name; });

TEST_P(ModuleExamples, LearnsAsPyTorchDoes) {
  if (GetParam().data.find("higgs") == 0) REQUIRE_REAL_DATA();
  // Every one of the first 20 steps.
  expect_equal(trained("steps", 1, 1U << 20U, "20"), theirs(1U << 20U, "20"));
  // Of each epoch's 4 steps.
  const std::vector<double> alone = trained("batches", 1, GetParam().batch, "5");
  expect_equal(alone, theirs(GetParam().batch, "5"));
  EXPECT_LT(alone.back(), alone.front());
  expect_equal(trained("shared", 4, GetParam().batch, "5"), alone);
}

TEST_F(Modules, WhatItLearnedIsTheModulesStateAndAFileForPyTorch) {
  REQUIRE_PYTHON_TORCH();
  synth("64", "images.bin");
  train_small(small(), {}, "run");
  const std::vector<double> differences =
      python({"strict", "run/model.safetensors", "run/model.pt", "images.bin"});
  ASSERT_EQ(differences.size(), 3);
  EXPECT_LT(differences[0], 1e-5);
  EXPECT_EQ(differences[1], 0);  // frozen
  EXPECT_EQ(differences[2], 0);  // saved for use
}

TEST_F(Modules, PyTorchGoesOnFromACheckpoint) {
  REQUIRE_PYTHON_TORCH();
  REQUIRE_REAL_DATA();
  const std::string data = real_data("higgs.train.libsvm");
  const auto run = [&](const std::string& stop_after) {
    train({"--data",      data,           "--model", small("tied"),  "--workers",
           "1",           "--epochs",     "6",       "--stop-after", stop_after,
           "--optimizer", "adamw",        "--lr",    "0.001",        "--l2",
           "0.1",         "--batch-size", "1000",    "--no-shuffle", "--valid-ratio",
           "0",           "--output",     stop_after});
    return losses_of(stop_after);
  };
  const std::vector<double> whole = run("6");
  run("3");
  std::string newest;
  for (const auto& entry : fs::recursive_directory_iterator(folder() / "3" / "checkpoint"))
    if (entry.path().filename().string().starts_with("0_1.") &&
        entry.path().extension() == ".safetensors" &&
        (newest.empty() || fs::last_write_time(newest) < entry.last_write_time()))
      newest = entry.path().string();
  const std::vector<double> theirs = python(
      {"trains", "tied.pt", data, "cross_entropy", "adamw", "0.001", "0.1", "1000", "3", newest});
  ASSERT_EQ(theirs.size(), 3);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(theirs[i], whole[3 + i], 1e-4 * whole[3 + i]);
}

TEST_F(Modules, AWeightOfTwoNamesIsOne) {
  REQUIRE_PYTHON_TORCH();
  REQUIRE_REAL_DATA();
  train({"--data", real_data("higgs.train.libsvm"), "--model", small("tied"), "--epochs", "1",
         "--lr", "0.1", "--output", "run"});
  const tensor::SafetensorsFile file(std::make_shared<const Buffer>(as_bytes(model_of("run"))),
                                     "run");
  const auto first = file.values<float>("0.weight");
  const auto second = file.values<float>("2.weight");
  EXPECT_TRUE(std::ranges::equal(first, second));
  const Result predicted = lambdaml({"predict", "--model", "run/model.safetensors", "--data",
                                     real_data("higgs.test.libsvm"), "--json", "-q"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_GT(predicted.json().at("accuracy"), 0.5);
}

TEST_F(Modules, LearnNumbersByEachLoss) {
  REQUIRE_PYTHON_TORCH();
  write_line("line.csv", 400);
  small("loss");
  for (const char* loss : {"mse", "l1", "huber", "module"}) {
    const bool is_own = std::string(loss) == "module";
    // The loss of the module takes the target; the others only what predict() gives.
    const std::string model = is_own ? "torchscript:loss.pt" : small("number");
    const nlohmann::json summary = train({"--data", "line.csv", "--label", "y", "--model", model,
                                          "--loss", loss, "--epochs", "40", "--batch-size", "20",
                                          "--optimizer", "adam", "--lr", "0.02", "--output", loss});
    EXPECT_LT(summary.at("train_loss"), 0.05) << loss;
    EXPECT_EQ(summary.contains("train_rmse"), !is_own) << loss;
    EXPECT_FALSE(summary.contains("train_accuracy")) << loss;
    const Result predicted = lambdaml({"predict", "--model", std::string(loss), "--data",
                                       "line.csv", "--json", "-q", "--out", "values.txt"});
    ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
    if (!is_own) {
      EXPECT_LT(predicted.json().at("rmse"), 0.3) << loss;
    }
    const std::string values = read(folder() / "values.txt");
    EXPECT_EQ(std::count(values.begin(), values.end(), '\n'), 400) << loss;
    const Result described = lambdaml({"model", std::string(loss)});
    EXPECT_EQ(described.exit_code, 0) << described.err;
    EXPECT_THAT(described.out, HasSubstr("line.weight [1, 28]"));
  }
}

TEST_F(Modules, LearnTwoClassesFromOneLogit) {
  REQUIRE_PYTHON_TORCH();
  REQUIRE_REAL_DATA();
  const nlohmann::json summary =
      train({"--data", real_data("higgs.train.libsvm"), "--model", small("number"), "--loss",
             "bce_with_logits", "--epochs", "5", "--optimizer", "adam", "--lr", "0.01",
             "--batch-size", "100", "--class-weight", "balanced", "--output", "run"});
  EXPECT_GT(summary.at("train_accuracy"), 0.58);
  const Result predicted =
      lambdaml({"predict", "--model", "run", "--data", real_data("higgs.test.libsvm"), "--json",
                "-q", "--proba", "--out", "p.txt"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_GT(predicted.json().at("auc"), 0.6);
}

TEST_F(Modules, TakeTensorsByNameAndTargetsWithPadding) {
  REQUIRE_PYTHON_TORCH();
  const std::string model = small("sequence");
  const std::vector<double> theirs = python({"sequences", "sequence.pt", "rows.npz", "4"});
  ASSERT_EQ(theirs.size(), 2);
  for (const char* workers : {"1", "4"}) {
    train({"--data", "rows.npz", "--model", model, "--workers", workers, "--ignore-index", "-100",
           "--epochs", "3", "--batch-size", std::to_string(40 / std::stoi(workers)), "--lr", "0.5",
           "--valid-ratio", "0", "--no-shuffle", "--output", workers});
    // The first epoch's one step begins with the weights that the module was exported with.
    EXPECT_NEAR(losses_of(workers).front(), theirs[0], 1e-5 * theirs[0]);
    EXPECT_LT(losses_of(workers).back(), theirs[0]);
  }
  EXPECT_LT(difference("1", "4"), 1e-5);
  const Result predicted = lambdaml(
      {"predict", "--model", "1", "--data", "rows.npz", "--json", "-q", "--out", "values.csv"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_GT(predicted.json().at("accuracy"), theirs[1]);

  python({"sequences", "sequence.pt", "more.npz", "5"});
  const std::string said =
      fails({"--data", "more.npz", "--model", model, "--ignore-index", "-100"}).err;
  EXPECT_THAT(said, HasSubstr("the target 'y' has the class number 4 where the module gives logits "
                              "of 4 classes, 0 to 3"));
  EXPECT_THAT(fails({"--data", "rows.npz", "--model", model}).err, HasSubstr("class number -100"));
}

TEST_F(Modules, IgnoreTheRowsOfALabel) {
  REQUIRE_PYTHON_TORCH();
  std::ofstream table(folder() / "table.csv");
  for (std::size_t j = 0; j < 28; ++j) table << "x" << j << ",";
  table << "label\n";
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t j = 0; j < 28; ++j)
      table << static_cast<double>((i * (7 + j)) % 13) / 13 << ",";
    table << (i % 2 == 0 ? 3 : 7) << "\n";
  }
  table.close();
  const std::string model = small("tied");
  // Only rows of label 3 are left to learn from and to judge by.
  const nlohmann::json summary =
      train({"--data", "table.csv", "--model", model, "--ignore-index", "7", "--epochs", "4",
             "--batch-size", "16", "--lr", "0.5", "--valid-ratio", "0"});
  EXPECT_EQ(summary.at("train_accuracy"), 1);
  EXPECT_THAT(fails({"--data", "table.csv", "--model", model, "--ignore-index", "1"}).err,
              HasSubstr("ignore_index 1: no row has that label; there are 3, 7: name one of them"));
  EXPECT_THAT(fails({"--data", "table.csv", "--model", model, "--ignore-index", "7", "--loss",
                     "bce_with_logits"})
                  .err,
              HasSubstr("only the loss cross_entropy has class numbers"));
}

TEST_F(Modules, WhatDoesNotFitIsOneClearLine) {
  REQUIRE_PYTHON_TORCH();
  synth("40", "images.bin");
  write_line("line.csv", 40);
  const auto of_images = [&](const std::string& kind) {
    return fails({"--data", "images.bin", "--model", small(kind)}).err;
  };
  EXPECT_THAT(of_images("inputs"),
              HasSubstr("forward takes (image, mask), and the data have image: "
                        "float32 [3, 32, 32]"));
  EXPECT_THAT(of_images("logits"), HasSubstr("the module returns float32 [2, 8, 16, 16], and the "
                                             "loss takes logits"));
  EXPECT_THAT(of_images("frozen"), HasSubstr("none of its 7 wants gradients"));
  EXPECT_THAT(of_images("sizes"),
              HasSubstr("forward(x: float32 [2, 3, 32, 32]) fails: libtorch says: RuntimeError: "
                        "mat1 and mat2 shapes cannot be multiplied (2x3072 and 128x10)"));
  for (const char* kind : {"state", "pickle", "legacy"}) {
    EXPECT_THAT(of_images(kind), HasSubstr("no TorchScript: export the module in Python: "
                                           "torch.jit.script(net).save"));
  }
  const auto of_numbers = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--data", "line.csv", "--label", "y"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return fails(arguments).err;
  };
  EXPECT_THAT(of_numbers({"--model", small("good")}), HasSubstr("features: float32 [28]"));
  EXPECT_THAT(of_numbers({"--model", small("number"), "--loss", "hinge_loss"}), HasSubstr("loss"));
  EXPECT_THAT(of_numbers({"--model", small("number"), "--loss", "squared_hinge"}),
              HasSubstr("it belongs to the model svm"));
  EXPECT_THAT(fails({"--data", "images.bin", "--model", "svm", "--loss", "mse"}).err,
              HasSubstr("svm has the losses hinge and squared_hinge"));
  EXPECT_THAT(
      fails({"--data", "images.bin", "--model", small("good"), "--loss", "bce_with_logits"}).err,
      HasSubstr("the module returns float32 [2, 10], and the loss takes numbers for the target "
                "float32 [2]"));
}

}  // namespace
}  // namespace lambdaml::e2e
