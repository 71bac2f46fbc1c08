// What takes minutes: make e2e-deep.
#include <cstdio>
#include <string>
#include <vector>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

class DeepLong : public CliTest {
 protected:
  /// The accuracy on the test images after five epochs of 10,000 images on two workers.
  double accuracy(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--data",        real_data("cifar10.train.bin"),
                                          "--test-data",   real_data("cifar10.test.bin"),
                                          "--model",       "mobilenet",
                                          "--workers",     "2",
                                          "--epochs",      "5",
                                          "--valid-ratio", "0",
                                          "--memory-mb",   "3008"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const nlohmann::json summary = train(arguments);
    std::printf("%s\n", summary.dump().c_str());
    return summary.at("test_accuracy");
  }
};

TEST_F(DeepLong, MobileNetLearnsFromTenThousandOnRealImages) {
  REQUIRE_REAL_DATA();
  EXPECT_GE(accuracy({"--batch-size", "32", "--lr", "0.05", "--momentum", "0.9", "--l2", "5e-4",
                      "--lr-schedule", "cosine", "--warmup-epochs", "0.5"}),
            0.45);
}

TEST_F(DeepLong, MobileNetLearnsByTheDefaultsOfAdamw) {
  REQUIRE_REAL_DATA();
  EXPECT_GE(accuracy({"--optimizer", "adamw"}), 0.50);
}

}  // namespace
}  // namespace lambdaml::e2e
