// What must be the same: bit by bit over patterns and channels, within rounding over worker counts.
#include <cmath>
#include <memory>

#include "e2e/command.h"
#include "lambdaml/base/files.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::e2e {
namespace {

tensor::SafetensorsFile model_of(const nlohmann::json& summary) {
  const std::string path = summary.at("model_path");
  return {std::make_shared<const Buffer>(*read_file(path)), path};
}

class Equality : public CliTest {
 protected:
  /// The model file's bytes.
  std::string model_bytes(std::vector<std::string> arguments) const {
    return read(train(std::move(arguments)).at("model_path").get<std::string>());
  }
};

class EveryModel : public Equality, public testing::WithParamInterface<std::string> {};

TEST_P(EveryModel, IsTheSameBytesOverPatternsAndChannels) {
  REQUIRE_REAL_DATA();
  for (const std::string workers : {"1", "2", "4", "7"}) {
    std::string first;
    for (const std::string channel : {"file", "memory"}) {
      for (const std::string pattern : {"reduce", "reduce_scatter"}) {
        const std::string bytes = model_bytes(
            {"--data", real_data("higgs.train.libsvm"), "--model", GetParam(), "--workers", workers,
             "--epochs", "3", "--batch-size", "300", "--channel", channel, "--sync-mode", pattern});
        if (first.empty()) first = bytes;
        EXPECT_EQ(bytes, first) << workers << " workers, " << channel << ", " << pattern;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, EveryModel, testing::Values("lr", "svm", "kmeans"));

// Shuffled, each worker visits its rows in an order of its own.
TEST_F(Equality, ManyWorkersGiveTheModelOfOneWithTheSameTotalBatchInTheFilesOrder) {
  REQUIRE_REAL_DATA();
  for (const std::string data : {"higgs.train.libsvm", "agaricus.train.libsvm"}) {
    const auto job = [&](int workers) {
      return train({"--data", real_data(data), "--workers", std::to_string(workers), "--batch-size",
                    std::to_string(840 / workers), "--epochs", "5", "--momentum", "0.9", "--l2",
                    "0.001", "--lr", "0.1", "--no-shuffle", "--valid-ratio", "0"});
    };
    const tensor::SafetensorsFile one = model_of(job(1));
    for (const int workers : {2, 4, 7}) {
      const tensor::SafetensorsFile many = model_of(job(workers));
      for (const std::string name : {"weight", "bias"}) {
        const auto expected = one.values<float>(name);
        const auto values = many.values<float>(name);
        ASSERT_EQ(values.size(), expected.size());
        for (std::size_t i = 0; i < values.size(); ++i)
          EXPECT_NEAR(values[i], expected[i], 1e-5) << data << " " << workers << " " << name << i;
      }
    }
  }
}

TEST_F(Equality, HeldOutRowsDoNotDependOnTheNumberOfWorkers) {
  REQUIRE_REAL_DATA();
  for (const std::string data : {"higgs.train.libsvm", "agaricus.train.libsvm"}) {
    nlohmann::json first;
    for (const std::string workers : {"1", "2", "4", "7", "30"}) {
      const nlohmann::json summary =
          train({"--data", real_data(data), "--workers", workers, "--optim", "lbfgs", "--l2",
                 "0.001", "--epochs", "5", "--channel", "memory"});
      if (first.is_null()) first = summary;
      for (const char* loss : {"train_loss", "valid_loss"})
        EXPECT_NEAR(summary.at(loss).get<double>() / first.at(loss).get<double>(), 1, 1e-5)
            << data << ", " << workers << " workers, " << loss;
    }
  }
}

TEST_F(Equality, InertiaDoesNotDependOnTheNumberOfWorkers) {
  REQUIRE_REAL_DATA();
  for (const std::string data : {"higgs.train.libsvm", "agaricus.train.libsvm"}) {
    double first = 0;
    for (const std::string workers : {"1", "2", "4", "7"}) {
      const nlohmann::json summary =
          train({"--data", real_data(data), "--model", "kmeans", "--workers", workers, "--epochs",
                 "20", "--clusters", "8"});
      const double inertia = summary.at("inertia");
      if (first == 0) first = inertia;
      EXPECT_NEAR(inertia / first, 1, 1e-5) << data << ", " << workers << " workers";
    }
  }
}

TEST_F(Equality, TextPreparedPartsAndGzipGiveTheSameModel) {
  REQUIRE_REAL_DATA();
  const std::string text = real_data("agaricus.train.libsvm");
  ASSERT_EQ(lambdaml({"data", "split", text, "--workers", "3", "--to", "parts"}).exit_code, 0);
  ASSERT_EQ(lambdaml({"data", "split", text, "--workers", "3", "--to", "texts", "--as", "libsvm"})
                .exit_code,
            0);
  const std::string gzip = (folder() / "train.gz").string();
  ASSERT_EQ(std::system(("gzip -c " + text + " > " + gzip).c_str()), 0);
  const auto job = [&](const std::string& data) {
    return model_bytes({"--data", data, "--workers", "3", "--epochs", "2"});
  };
  const std::string expected = job(text);
  EXPECT_EQ(job("parts"), expected);
  EXPECT_EQ(job("texts"), expected);
  EXPECT_EQ(job(gzip), expected);
}

}  // namespace
}  // namespace lambdaml::e2e
