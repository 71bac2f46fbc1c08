// What takes minutes: make e2e-deep.
#include <cstdio>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

class DeepLong : public CliTest {};

TEST_F(DeepLong, MobileNetLearnsFromTenThousandOnRealImages) {
  REQUIRE_REAL_DATA();
  const nlohmann::json summary = train({"--data",
                                        real_data("cifar10.train.bin"),
                                        "--test-data",
                                        real_data("cifar10.test.bin"),
                                        "--model",
                                        "mobilenet",
                                        "--workers",
                                        "2",
                                        "--epochs",
                                        "5",
                                        "--batch-size",
                                        "32",
                                        "--lr",
                                        "0.05",
                                        "--momentum",
                                        "0.9",
                                        "--l2",
                                        "5e-4",
                                        "--lr-schedule",
                                        "cosine",
                                        "--warmup-epochs",
                                        "0.5",
                                        "--valid-ratio",
                                        "0",
                                        "--memory-mb",
                                        "3008"});
  EXPECT_GE(summary.at("test_accuracy"), 0.45);
  std::printf("%s\n", summary.dump().c_str());
}

}  // namespace
}  // namespace lambdaml::e2e
