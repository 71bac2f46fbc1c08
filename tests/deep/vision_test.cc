// Networks that begin with torchvision's weights.
#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>

#include "deep/deep.h"

namespace lambdaml::e2e {
namespace {

bool has_torchvision() {
  static const bool has = std::system("/usr/bin/python3 -c 'import torchvision' 2>/dev/null") == 0;
  return has;
}

class Vision : public Deep {
 protected:
  void start(const std::string& name, const std::string& side, const std::string& classes) const {
    python({"start", name, side, classes}, "vision.py");
  }
  std::vector<std::string> arguments(const std::string& name, const std::string& init) const {
    return {"train",       "--data",    name + ".npz", "--model",       name, "--init",
            init,          "--workers", "2",           "--epochs",      "1",  "--batch-size",
            "6",           "--lr",      "1e-12",       "--valid-ratio", "0",  "--freeze-batch-norm",
            "--memory-mb", "3008",      "--output",    "run-" + name,   "-q", "--json"};
  }
};

TEST_F(Vision, AStateDictIsTheStartAndGivesItsLogits) {
  REQUIRE_OR_SKIP(has_torchvision(), "no python3-torchvision here");
  for (const auto& [name, side] : {std::pair{"resnet18", "224"}, {"resnet50", "64"}}) {
    start(name, side, "4");
    const Result trained = lambdaml(arguments(name, std::string(name) + ".safetensors"));
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    const std::string model = std::string("run-") + name + "/model.safetensors";
    const Result predicted =
        lambdaml({"predict", "--model", model, "--data", std::string(name) + ".npz", "--scores",
                  "--out", "scores.csv", "-q"});
    ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
    const std::vector<double> found = python({"compare", name, model, "scores.csv"}, "vision.py");
    ASSERT_EQ(found.size(), 3);
    EXPECT_LT(found[0], 1e-4) << name;
    EXPECT_LT(found[1], 1e-4) << name;
    EXPECT_GT(found[2], 1e-2) << name;  // or nothing was compared
  }
}

TEST_F(Vision, AnotherStateDictIsRefused) {
  REQUIRE_OR_SKIP(has_torchvision(), "no python3-torchvision here");
  const auto refused = [&](std::vector<std::string> all, const std::string& says) {
    const Result result = lambdaml(all);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, testing::HasSubstr(says));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  start("resnet34", "64", "4");
  start("resnet18", "64", "4");
  refused(arguments("resnet18", "resnet34.safetensors"), "the state_dict of another model");
  start("resnet18", "32", "3");
  std::filesystem::copy_file(folder() / "resnet18.npz", folder() / "three.npz");
  start("resnet18", "32", "4");
  // Images of 32 × 32 pixels have the small stem.
  refused(arguments("resnet18", "resnet18.safetensors"), "'conv1.weight' is [64, 3, 7, 7]");
  std::vector<std::string> three = arguments("resnet18", "resnet18.safetensors");
  three[2] = "three.npz";
  three.insert(three.end(), {"--stem", "large"});
  refused(three, "'fc.weight' is [4, 512], and resnet18 for these data takes [3, 512]");
}

}  // namespace
}  // namespace lambdaml::e2e
