// Functions with services between them, as on AWS: data, channel and code in S3, a cache for many.
#include "e2e/lambda.h"

#include <fmt/core.h>

#include "integration/relay.h"
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
  const Result split = lambdaml(
      {"data", "split", real_data("agaricus.train.libsvm"), "--workers", "2", "--to", data});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  for (const std::string model : {"lr", "svm", "kmeans"}) {
    expect_the_local_model("lambdaml-worker", {"--data", data, "--model", model, "--epochs", "3"});
    std::filesystem::remove_all(folder() / "local");
    std::filesystem::remove_all(folder() / "there");
  }
}

TEST_F(LambdaWith_s3, DeployedFunctionsPredictWhereTheDataAre) {
  train({"--data", real_data("agaricus.train.libsvm"), "--workers", "2", "--epochs", "3",
         "--output", "run"});
  const std::string model = place() + "/model.safetensors", data = place() + "/test";
  ASSERT_EQ(
      lambdaml({"storage", "put", place(), "model.safetensors", "run/model.safetensors"}).exit_code,
      0);
  const Result split = lambdaml(
      {"data", "split", real_data("agaricus.test.libsvm"), "--workers", "5", "--to", data});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  deploy("lambdaml-worker", {"--timeout-s", "60", "--code-bucket", place() + "/code"});
  const Result there = with_keys({"predict", "--model", model, "--data", data, "--to", data,
                                  "--workers", "2", "--platform", "aws", "--function",
                                  "lambdaml-worker", "--channel", channel(), "--json", "-q"});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  const nlohmann::json measures = there.json();
  const nlohmann::json here =
      lambdaml({"predict", "--model", "run", "--data", data, "--out", "labels", "--json"}).json();
  for (const auto& [key, value] : here.items()) EXPECT_EQ(measures[key], value) << key;
  const auto store = storage::open(data);
  for (int i = 0; i < 5; ++i) {
    const std::string part = std::to_string(i) + "_5";
    const std::optional<Buffer> result = store->load(part + ".csv");
    ASSERT_TRUE(result) << part;
    EXPECT_EQ(result->text(),
              lambdaml({"predict", "--model", "run", "--data", data + "/" + part, "-q"}).out);
  }

  deploy("answers", {"--handler", "predict", "--model", model, "--timeout-s", "60", "--code-bucket",
                     place() + "/code"});
  const Result answer = with_keys({"invoke", "answers", "--payload", R"({"rows": [{"1": 1}]})"});
  ASSERT_EQ(answer.exit_code, 0) << answer.err;
  EXPECT_EQ(answer.json()["classes"], (nlohmann::json{0, 1}));
}

/// The command sees less than 1 % of large text that its functions read, cut and train with.
TEST_F(LambdaWith_s3, FunctionsReadTheDataThatTheCommandDoesNot) {
  constexpr int kRows = 700'000;  // two files of it are more than 64 MB
  std::string table = "label,a,b,c,d,e\n";
  for (int i = 0; i < kRows; ++i) {
    const int label = i * 2 / kRows;  // sorted
    table += fmt::format("{},{:.7f},{:.7f},{:.7f},{:.7f},{:.7f}\n", label,
                         (i % 9973) / 9973.0 + label, (i % 997) / 997.0, (i % 89) / 89.0 - label,
                         (i % 7919) / 7919.0, (i % 6007) / 6007.0);
  }
  write("table.csv", table);
  const std::string data = place() + "/tables";
  for (const char* part : {"part-0.csv", "part-1.csv"})
    ASSERT_EQ(lambdaml({"storage", "put", data, part, "table.csv"}).exit_code, 0);
  deploy("lambdaml-worker", {"--timeout-s", "120", "--code-bucket", place() + "/code"});

  servers::Relay relay(servers::get("s3").port);
  const auto through_the_relay = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--platform", "aws", "--function", "lambdaml-worker",
                                       "--channel", channel(), "--json", "-q"});
    const std::uint64_t before = relay.answered_bytes();
    const Result result =
        start(arguments, {fmt::format("AWS_ENDPOINT_URL_S3=http://127.0.0.1:{}", relay.port())})
            ->wait();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_GT(relay.answered_bytes(), before);
    EXPECT_LT(relay.answered_bytes() - before, 2 * table.size() / 100);
    return result.json();
  };
  const std::vector<std::string> job{"--data", data, "--epochs", "3", "--workers", "2"};
  std::vector<std::string> there{"train", "--output", "there"};
  there.insert(there.end(), job.begin(), job.end());
  const nlohmann::json summary = through_the_relay(there);
  EXPECT_EQ(summary["rows"], 2 * kRows);
  EXPECT_GT(summary["valid_accuracy"], 0.95);
  std::vector<std::string> here{"--output", "here", "--read-by", "functions"};
  here.insert(here.end(), job.begin(), job.end());
  train(here);
  EXPECT_TRUE(read(folder() / "here/model.safetensors") ==
              read(folder() / "there/model.safetensors"))
      << "the same blocks of the same workers";

  const nlohmann::json cut = through_the_relay(
      {"data", "split", data, "--to", place() + "/set", "--parts", "5", "--workers", "2"});
  EXPECT_EQ(cut["parts"], 5);
  const nlohmann::json info = lambdaml({"data", "info", place() + "/set", "--json"}).json();
  EXPECT_EQ(info["rows"], 2 * kRows);
  EXPECT_EQ(info["labels"], (nlohmann::json{{"0", kRows}, {"1", kRows}}));
}

class LambdaWith_memcached : public Lambda {
 protected:
  void SetUp() override {
    REQUIRE_SERVER("memcached");
    Lambda::SetUp();
  }
  std::string channel() const override {
    return servers::get("memcached").uri + "/" + folder().filename().string();
  }
};

TEST_F(LambdaWith_memcached, AHundredWorkersMeet) {
  deploy("lambdaml-worker", {"--timeout-s", "120"});
  const std::string data = (folder() / "higgs").string();
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "20000", "-o", data}).exit_code, 0);
  const nlohmann::json summary =
      train_there("lambdaml-worker", {"--data", data, "--workers", "100", "--epochs", "3",
                                      "--checkpoint", (folder() / "checkpoints").string()});
  EXPECT_EQ(summary["epochs"], 3);
  EXPECT_EQ(summary["invocations"], 100);
}

}  // namespace
}  // namespace lambdaml::e2e
