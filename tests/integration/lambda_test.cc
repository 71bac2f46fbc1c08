// Functions on other machines: nothing of this one is theirs, so data, channel and code lie in S3.
#include "e2e/lambda.h"

#include "integration/servers.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

class LambdaWith_s3 : public Lambda {
 protected:
  LambdaWith_s3() : Lambda({}, {}) {}
  void SetUp() override {
    REQUIRE_SERVER("s3");
    Lambda::SetUp();
  }
  std::string place() const { return servers::get("s3").uri + "/" + folder().filename().string(); }
  std::string channel() const override { return place() + "/channel"; }
};

TEST_F(LambdaWith_s3, DeployedFunctionsTrainTheModelOfLocalOnes) {
  deploy("lambdaml-worker", {"--timeout-s", "60", "--code-bucket", place() + "/code"});
  ASSERT_FALSE(storage::open(place() + "/code")->list("").empty());
  const std::string data = place() + "/agaricus";
  const Result split =
      lambdaml({"data", "split", real_data("agaricus.train.libsvm"), "--workers", "2", "--to", data});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  for (const std::string model : {"lr", "svm", "kmeans"}) {
    expect_the_local_model("lambdaml-worker", {"--data", data, "--model", model, "--epochs", "3"});
    std::filesystem::remove_all(folder() / "local");
    std::filesystem::remove_all(folder() / "there");
  }
}

}  // namespace
}  // namespace lambdaml::e2e
