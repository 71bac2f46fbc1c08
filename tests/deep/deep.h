#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/command.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::e2e {

inline bool has_python_torch() {
  static const bool has = std::system("/usr/bin/python3 -c 'import torch' 2>/dev/null") == 0;
  return has;
}
/// In a test's body: skips without PyTorch; where CI is set it fails.
#define REQUIRE_PYTHON_TORCH() REQUIRE_OR_SKIP(has_python_torch(), "no python3-torch here")

class Deep : public CliTest {
 protected:
  void synth(const std::string& rows, const std::string& file) const {
    const Result made = lambdaml({"data", "synth", "cifar10", "--rows", rows, "-o", file});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  /// What a script of this folder prints.
  std::vector<double> python(const std::vector<std::string>& arguments,
                             const std::string& script = "compare.py") const {
    std::string command = "cd " + folder().string() +
                          " && /usr/bin/python3 " LAMBDAML_SOURCE_DIR "/tests/deep/" + script;
    for (const std::string& argument : arguments) command += " '" + argument + "'";
    EXPECT_EQ(std::system((command + " > printed").c_str()), 0) << command;
    std::istringstream printed(read(folder() / "printed"));
    std::vector<double> numbers;
    for (double number = 0; printed >> number;) numbers.push_back(number);
    return numbers;
  }

  /// The network of compare.py that trains in no time: convolution, batch normalization, dropout.
  std::string small(const std::string& kind = "good") const {
    python({"export", kind, kind + ".pt"});
    return "torchscript:" + kind + ".pt";
  }

  nlohmann::json train_small(const std::string& model, const std::vector<std::string>& more,
                             const std::string& output) const {
    std::vector<std::string> arguments = {
        "--data",     "images.bin", "--model",      model,  "--workers", "2",
        "--epochs",   "2",          "--batch-size", "8",    "--lr",      "0.05",
        "--momentum", "0.9",        "--l2",         "1e-4", "--output",  output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return train(arguments);
  }

  std::string model_of(const std::string& output) const {
    return read(folder() / output / "model.safetensors");
  }

  /// The largest difference between two models' parameters.
  double difference(const std::string& a, const std::string& b) const {
    const auto open = [&](const std::string& output) {
      return tensor::SafetensorsFile(std::make_shared<const Buffer>(as_bytes(model_of(output))),
                                     output);
    };
    const tensor::SafetensorsFile one = open(a);
    const tensor::SafetensorsFile two = open(b);
    double most = 0;
    for (const tensor::Tensor& tensor : one.tensors()) {
      if (tensor.dtype != tensor::Dtype::f32) continue;
      const auto x = one.values<float>(tensor.name);
      const auto y = two.values<float>(tensor.name);
      for (std::size_t i = 0; i < x.size(); ++i)
        most = std::max(most, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
    }
    return most;
  }
};

}  // namespace lambdaml::e2e
