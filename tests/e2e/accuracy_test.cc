// Jobs on real data must reach what the data allow: the bounds come from scikit-learn on the same
// files (higgs: LogisticRegression, training loss 0.6382, test accuracy 0.658; rcv1: 0.878), with
// room for stochastic steps.
#include <cstdlib>
#include <filesystem>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

struct Agaricus {
  std::string model;
  std::string optim;
  std::vector<std::string> settings;
};

void PrintTo(const Agaricus& job, std::ostream* out) { *out << job.model << " by " << job.optim; }

class AgaricusJobs : public CliTest, public testing::WithParamInterface<Agaricus> {};

TEST_P(AgaricusJobs, ReachesNinetyNinePercent) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"--data",      real_data("agaricus.train.libsvm"),
                                     "--test-data", real_data("agaricus.test.libsvm"),
                                     "--model",     GetParam().model,
                                     "--optim",     GetParam().optim};
  arguments.insert(arguments.end(), GetParam().settings.begin(), GetParam().settings.end());
  const nlohmann::json summary = train(arguments);
  EXPECT_EQ(summary["workers"], 4);
  EXPECT_GE(summary["test_accuracy"], 0.99) << summary;
}

INSTANTIATE_TEST_SUITE_P(
    , AgaricusJobs,
    testing::Values(
        Agaricus{"lr", "grad_avg", {"--batch-size", "50", "--lr", "1", "--epochs", "20"}},
        Agaricus{"lr", "model_avg", {"--batch-size", "20", "--lr", "1", "--epochs", "20"}},
        Agaricus{
            "lr", "admm", {"--batch-size", "20", "--lr", "1", "--epochs", "5", "--rho", "0.01"}},
        Agaricus{"svm", "grad_avg", {"--batch-size", "50", "--lr", "0.5", "--epochs", "20"}},
        Agaricus{"svm", "model_avg", {"--batch-size", "20", "--lr", "0.2", "--epochs", "20"}},
        Agaricus{"svm",
                 "admm",
                 {"--batch-size", "20", "--lr", "0.3", "--epochs", "5", "--rho", "0.01"}}),
    [](const auto& info) { return info.param.model + "_" + info.param.optim; });

class Accuracy : public CliTest {};

TEST_F(Accuracy, HiggsComesNearTheOptimum) {
  REQUIRE_REAL_DATA();
  const nlohmann::json summary =
      train({"--data", real_data("higgs.train.libsvm"), "--test-data",
             real_data("higgs.test.libsvm"), "--valid-ratio", "0", "--lr", "1", "--batch-size",
             "250", "--epochs", "100", "--lr-schedule", "cosine"});
  EXPECT_LE(summary["train_loss"], 0.643);
  EXPECT_GE(summary["train_loss"], 0.638) << "below the optimum: the loss is computed wrongly";
  EXPECT_GE(summary["test_accuracy"], 0.64);
}

TEST_F(Accuracy, Rcv1IsLearntFromAThousandRows) {
  REQUIRE_REAL_DATA();
  const nlohmann::json summary =
      train({"--data", real_data("rcv1.train.libsvm"), "--test-data", real_data("rcv1.test.libsvm"),
             "--valid-ratio", "0", "--lr", "10", "--batch-size", "25", "--epochs", "20"});
  EXPECT_EQ(summary["features"], 47117);  // the largest that occurs in the sample
  EXPECT_GE(summary["test_accuracy"], 0.86);
}

TEST_F(Accuracy, W8aIsLearntThoughThreePercentArePositive) {
  REQUIRE_REAL_DATA();
  const nlohmann::json summary = train(
      {"--data", real_data("w8a.libsvm"), "--lr", "10", "--batch-size", "100", "--epochs", "20"});
  EXPECT_GE(summary["train_accuracy"], 0.985);
}

TEST_F(Accuracy, AsynchronousWorkersLearnToo) {
  REQUIRE_REAL_DATA();
  for (const std::string optim : {"grad_avg", "model_avg"}) {
    const nlohmann::json summary =
        train({"--data", real_data("agaricus.train.libsvm"), "--test-data",
               real_data("agaricus.test.libsvm"), "--optim", optim, "--sync-mode", "async",
               "--batch-size", "50", "--lr", "0.5", "--epochs", "20"});
    EXPECT_GE(summary["test_accuracy"], 0.99) << optim;
  }
}

TEST_F(Accuracy, KMeansEndsWhereScikitLearnEndsFromTheSameStart) {
  REQUIRE_REAL_DATA();
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") == 0,
                  "no python3-sklearn here");
  for (const std::string data : {"higgs.train.libsvm", "agaricus.train.libsvm"}) {
    const auto job = [&](const std::string& epochs) {
      return train({"--data", real_data(data), "--model", "kmeans", "--clusters", "8", "--epochs",
                    epochs, "--threshold", "0"});
    };
    // The first iteration of the same job: both go on from its centroids.
    const std::string start = job("1")["model_path"];
    const double ours = job("300")["inertia"];
    const std::string out = (folder() / "inertia").string();
    ASSERT_EQ(std::system(("/usr/bin/python3 " LAMBDAML_SOURCE_DIR "/tests/e2e/scikit_kmeans.py " +
                           start + " " + real_data(data) + " > " + out)
                              .c_str()),
              0);
    const double theirs = std::stod(read(out));
    EXPECT_NEAR(ours / theirs, 1, 0.01) << data;
  }
}

TEST_F(Accuracy, KMeansIsAsGoodAsScikitLearns) {
  REQUIRE_REAL_DATA();
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") == 0,
                  "no python3-sklearn here");
  for (const std::string data : {"higgs.train.libsvm", "agaricus.train.libsvm"}) {
    const auto job = [&](const std::string& seed, const std::string& workers,
                         const std::string& starts) {
      return train({"--data", real_data(data), "--model", "kmeans", "--clusters", "8", "--epochs",
                    "300", "--threshold", "0", "--seed", seed, "--workers", workers, "--n-init",
                    starts});
    };
    double mean = 0;
    constexpr int kSeeds = 5;
    for (int seed = 1; seed <= kSeeds; ++seed)
      mean += job(std::to_string(seed), "1", "1")["inertia"].get<double>() / kSeeds;
    const std::string out = (folder() / "inertia").string();
    ASSERT_EQ(std::system(("/usr/bin/python3 " LAMBDAML_SOURCE_DIR
                           "/tests/e2e/scikit_kmeans_quality.py " +
                           real_data(data) + " 8 " + std::to_string(kSeeds) + " > " + out)
                              .c_str()),
              0);
    const double theirs = std::stod(read(out));
    EXPECT_LT(mean, theirs * 1.03) << data;

    // Starts of one job are those of its first seed and others, so more of them are not worse.
    const nlohmann::json one = job("1", "1", "1"), best = job("1", "1", "5"),
                         together = job("1", "4", "5");
    EXPECT_LE(best["inertia"].get<double>(), one["inertia"].get<double>() * (1 + 1e-6)) << data;
    EXPECT_LT(best["inertia"].get<double>(), theirs * 1.01) << data;
    EXPECT_NEAR(together["inertia"].get<double>() / best["inertia"].get<double>(), 1, 1e-5) << data;
    EXPECT_NEAR(together["silhouette"].get<double>(), best["silhouette"].get<double>(), 1e-4);
    EXPECT_GT(best["silhouette"], 0.05) << data;
    EXPECT_LT(best["silhouette"], 0.9) << data;
  }
}

}  // namespace
}  // namespace lambdaml::e2e
