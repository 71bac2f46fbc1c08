// Layers that a job keeps as they are, and batch normalization over all workers.
#include <algorithm>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>

#include "deep/deep.h"
#include "lambdaml/base/files.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class Layers : public Deep {
 protected:
  /// The bytes of the tensors in a file.
  std::map<std::string, std::string> tensors_in(const fs::path& file) const {
    const tensor::SafetensorsFile open(
        std::make_shared<const Buffer>(as_bytes(read(folder() / file))), file.string());
    std::map<std::string, std::string> out;
    for (const tensor::Tensor& tensor : open.tensors()) out[tensor.name] = as_text(tensor.bytes);
    return out;
  }
  /// The names of those that have other bytes in the second file.
  std::vector<std::string> changed(const fs::path& before, const fs::path& after) const {
    const auto old_ones = tensors_in(before), new_ones = tensors_in(after);
    std::vector<std::string> out;
    for (const auto& [name, bytes] : new_ones) {
      const auto found = old_ones.find(name);
      EXPECT_NE(found, old_ones.end()) << name;
      if (found != old_ones.end() && found->second != bytes) out.push_back(name);
    }
    return out;
  }
  std::vector<std::string> with(std::vector<std::string> all,
                                const std::vector<std::string>& more) const {
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void refused(const std::vector<std::string>& arguments, const std::string& says) const {
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(says));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
};

TEST_F(Layers, OfTorchvisionStayAsTheyAreWhileTheOthersLearn) {
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import torchvision' 2>/dev/null") == 0,
                  "no python3-torchvision here");
  python({"start", "resnet18", "64", "4"}, "vision.py");
  const auto job = [&](const std::string& output, const std::vector<std::string>& more) {
    return with({"train",
                 "--data",
                 "resnet18.npz",
                 "--model",
                 "resnet18",
                 "--init",
                 "resnet18.safetensors",
                 "--workers",
                 "2",
                 "--epochs",
                 "3",
                 "--batch-size",
                 "3",
                 "--optimizer",
                 "adamw",
                 "--lr",
                 "0.001",
                 "--valid-ratio",
                 "0",
                 "--memory-mb",
                 "3008",
                 "--freeze",
                 "conv1,bn1,layer1,layer2,layer3.0,layer3.1.*1",
                 "--output",
                 output,
                 "-q",
                 "--json"},
                more);
  };
  const Result whole = lambdaml(job("whole", {}));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const std::vector<std::string> learned =
      changed("resnet18.safetensors", "whole/model.safetensors");
  EXPECT_EQ(tensors_in("whole/model.safetensors").size(), 102);  // without counters: all of them
  for (const std::string& name : learned)
    EXPECT_TRUE(name.starts_with("layer3.1.conv2.") || name.starts_with("layer3.1.bn2.") ||
                name.starts_with("layer4.") || name.starts_with("fc."))
        << name;
  // conv2 and bn2 of layer3.1 (5), layer4 (25), fc (2).
  EXPECT_EQ(learned.size(), 32) << testing::PrintToString(learned);

  // A checkpoint has only what changes: parameters and two moments.
  std::size_t values = 0;
  for (const auto& [name, bytes] : tensors_in("whole/model.safetensors"))
    if (std::ranges::find(learned, name) != learned.end()) values += bytes.size();
  for (const auto& entry : fs::recursive_directory_iterator(folder() / "whole" / "checkpoint")) {
    if (entry.path().extension() != ".safetensors") continue;
    EXPECT_LT(entry.file_size(), 3 * values + 100'000) << entry.path();
  }

  // What is not in checkpoints comes from the initial model again.
  const Result first = lambdaml(job("cut", {"--stop-after", "1"}));
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Result resumed = lambdaml({"resume", "cut", "--json", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(tensors_in("cut/model.safetensors"), tensors_in("whole/model.safetensors"));

  // The model is whole: it predicts, and is the start of another job that keeps other layers.
  const Result predicted =
      lambdaml({"predict", "--model", "whole", "--data", "resnet18.npz", "--json", "-q"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_NEAR(predicted.json().at("log_loss"), whole.json().at("train_loss"), 1e-4);
  std::vector<std::string> again = job("again", {"--freeze", "conv1,bn1,layer*", "--epochs", "1"});
  again[6] = "whole";
  const Result other = lambdaml(again);
  ASSERT_EQ(other.exit_code, 0) << other.err;
  EXPECT_THAT(changed("whole/model.safetensors", "again/model.safetensors"),
              ElementsAre("fc.bias", "fc.weight"));

  refused(job("no", {"--freeze", "layer9"}),
          "freeze: resnet18 has no parameter or layer 'layer9', did you mean 'layer1'");
  refused(job("no", {"--freeze", "*"}), "nothing is left to learn");
}

TEST_F(Layers, WithoutAnInitialModelAreThoseOfTheSeed) {
  synth("16", "images.bin");
  const std::vector<std::string> job = {
      "--data", "images.bin",   "--model", "mobilenet",     "--workers", "2",           "--epochs",
      "1",      "--batch-size", "4",       "--valid-ratio", "0",         "--memory-mb", "3008"};
  const auto run = [&](const std::string& output, const std::string& epochs,
                       const std::string& freeze) {
    train(with(job, {"--output", output, "--epochs", epochs, "--lr", "0.01", "--freeze", freeze}));
    return output + "/model.safetensors";
  };
  // What is frozen is the same in all, whatever else learns.
  const std::string head = run("head", "1", "conv1,bn1,layers");
  const std::string more = run("more", "2", "conv1,bn1,layers");
  const std::string rest = run("rest", "1", "conv1");
  // Random layers with statistics of 0 and 1 give features near 0, so it may be the bias alone.
  EXPECT_THAT(changed(head, more), Contains("linear.bias"));
  for (const std::string& name : changed(head, more)) EXPECT_TRUE(name.starts_with("linear."));
  const std::vector<std::string> learned = changed(head, rest);
  EXPECT_EQ(std::ranges::find(learned, "conv1.weight"), learned.end());
  EXPECT_NE(std::ranges::find(learned, "layers.0.conv1.weight"), learned.end());
}

TEST_F(Layers, OfModulesStayAsTheyAre) {
  REQUIRE_PYTHON_TORCH();
  synth("64", "images.bin");
  const std::string model = small();
  train_small(model, {"--freeze", "conv,bn", "--epochs", "1"}, "start");
  train_small(model, {"--freeze", "conv,bn"}, "run");
  EXPECT_THAT(changed("start/model.safetensors", "run/model.safetensors"),
              ElementsAre("out.bias", "out.weight"));
  // Frozen tensors are those of the initial model, which has learned them.
  train_small(model, {}, "learned");
  train_small(model, {"--freeze", "conv,bn", "--init", "learned", "--stop-after", "1"}, "more");
  ASSERT_EQ(lambdaml({"resume", "more", "--json", "-q"}).exit_code, 0);
  EXPECT_THAT(changed("learned/model.safetensors", "more/model.safetensors"),
              ElementsAre("out.bias", "out.weight"));
  EXPECT_THAT(changed("start/model.safetensors", "more/model.safetensors"),
              Contains("conv.weight"));
  const Result predicted =
      lambdaml({"predict", "--model", "more", "--data", "images.bin", "--json", "-q"});
  EXPECT_EQ(predicted.exit_code, 0) << predicted.err;
  refused({"train", "-q", "--data", "images.bin", "--model", model, "--freeze", "con"},
          "good.pt has no parameter or layer 'con', did you mean 'conv'");
}

TEST_F(Layers, NormalizedOverAllWorkersAreThoseOfOne) {
  synth("16", "images.bin");
  const auto job = [&](const std::string& workers, const std::vector<std::string>& more) {
    return with({"--data", "images.bin", "--model", "mobilenet", "--workers", workers, "--epochs",
                 "2", "--batch-size", std::to_string(16 / std::stoi(workers)), "--no-shuffle",
                 "--no-augment", "--lr", "1e-4", "--valid-ratio", "0", "--memory-mb", "3008"},
                more);
  };
  const auto first_loss = [&](const std::string& output) -> double {
    const std::string lines = read(folder() / output / "metrics.jsonl");
    return nlohmann::json::parse(lines.substr(0, lines.find('\n'))).at("train_loss");
  };
  train(job("1", {"--output", "one"}));
  train(job("4", {"--output", "four", "--sync-batch-norm"}));
  train(job("4", {"--output", "apart"}));
  EXPECT_NEAR(first_loss("four"), first_loss("one"), 1e-5);
  EXPECT_GT(std::abs(first_loss("apart") - first_loss("one")), 1e-3);
  // The gradient of an untrained network is ill-conditioned, so the step is a small one.
  EXPECT_LT(difference("one", "four"), 1e-3);
  EXPECT_GT(difference("one", "apart"), 1e-2);

  // Patterns, sharded moments and invocations change no bit.
  const std::vector<std::string> adamw = {"--sync-batch-norm", "--optimizer", "adamw"};
  const auto model = [&](const std::vector<std::string>& more) {
    fs::remove_all(folder() / "run");
    train(job("4", with(adamw, with(more, {"--output", "run"}))));
    return model_of("run");
  };
  const std::string whole = model({});
  EXPECT_EQ(model({"--sync-mode", "reduce_scatter", "--shard-optimizer", "--run-epochs", "1"}),
            whole);

  const auto refuse = [&](const std::vector<std::string>& more, const std::string& says) {
    refused(with({"train", "-q"}, job("4", with(more, {"--sync-batch-norm"}))), says);
  };
  refuse({"--optim", "model_avg"},
         "sync_batch_norm: workers have a common batch in each step of "
         "--optim grad_avg, but not with model_avg");
  refuse({"--sync-mode", "async"}, "sync_batch_norm: workers that do not wait");
  refuse({"--micro-batch", "2"}, "micro_batch: with sync_batch_norm");
}

TEST_F(Layers, OfModulesAreNotNormalizedOverAllWorkers) {
  REQUIRE_PYTHON_TORCH();
  synth("16", "images.bin");
  refused({"train", "-q", "--data", "images.bin", "--model", small(), "--sync-batch-norm"},
          "sync_batch_norm: a TorchScript module runs whole inside libtorch");
}

}  // namespace
}  // namespace lambdaml::e2e
