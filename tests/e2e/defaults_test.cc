// A job with no options but its data must learn as well as scikit-learn with its defaults, in few
// rounds, on any number of workers.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <vector>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

const std::vector<std::string> kSets = {"higgs", "agaricus", "rcv1",   "w8a",     "breast_cancer",
                                        "iris",  "wine",     "digits", "diabetes"};

class DefaultsLearn : public CliTest {
 protected:
  /// Writes the bundled data sets and scikit-learn's results.
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_REAL_DATA();
    REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") == 0,
                    "no python3-sklearn here");
    const std::string data = std::filesystem::path(real_data("higgs.train.libsvm")).parent_path();
    ASSERT_EQ(std::system(("/usr/bin/python3 " LAMBDAML_SOURCE_DIR "/tests/e2e/scikit_linear.py " +
                           folder().string() + " " + data)
                              .c_str()),
              0);
    reference_ = nlohmann::json::parse(read(folder() / "reference.json"));
  }

  std::vector<std::string> job_of(const std::string& name, int workers) const {
    const auto file = [&](const std::string& part) {
      const std::string base = name + "." + part + ".libsvm";
      const std::filesystem::path written = folder() / base;
      return std::filesystem::exists(written) ? written.string() : real_data(base);
    };
    std::vector<std::string> arguments{"--data",     file("train"), "--test-data",
                                       file("test"), "--workers",   std::to_string(workers)};
    if (name == "diabetes") arguments.insert(arguments.end(), {"--model", "linear"});
    return arguments;
  }

  /// Of accuracy or R²: scikit-learn's less 0.005 or one row.
  double least_score(const std::string& name) const {
    const nlohmann::json& expected = reference_.at(name);
    return expected["score"].get<double>() -
           std::max(0.005, 1.0 / expected["test_rows"].get<double>());
  }
  static double score_in(const nlohmann::json& summary) {
    return summary.contains("test_r2") ? summary["test_r2"] : summary["test_accuracy"];
  }

  /// The job's epochs, of its metrics.
  static std::vector<nlohmann::json> epochs_of(const nlohmann::json& summary) {
    std::ifstream file(std::filesystem::path(summary["model_path"].get<std::string>())
                           .replace_filename("metrics.jsonl"));
    std::vector<nlohmann::json> out;
    for (std::string line; std::getline(file, line);) out.push_back(nlohmann::json::parse(line));
    return out;
  }

  nlohmann::json reference_;
};

TEST_F(DefaultsLearn, AsScikitLearnDoesOnAnyNumberOfWorkers) {
  for (const std::string& name : kSets)
    for (const int workers : {1, 2, 4, 7}) {
      SCOPED_TRACE(name + ", " + std::to_string(workers) + " workers");
      const nlohmann::json summary = train(job_of(name, workers));
      EXPECT_GE(score_in(summary), least_score(name));
      EXPECT_EQ(summary["ended_by"], "converged");
      const std::vector<nlohmann::json> epochs = epochs_of(summary);
      ASSERT_FALSE(epochs.empty());
      const double reached = epochs.back()["objective"];
      const double optimum = reference_[name]["objective"];
      EXPECT_NEAR(reached / optimum, 1, 1e-5);
      // A gradient is merged before the first epoch and in each, and an evaluation in each; a
      // quarter as many as the gradients may be all else: numbers, scales, gradients of refused
      // steps.
      const auto expect_within = [&](double distance, double most) {
        const auto is_near = [&](const nlohmann::json& epoch) {
          return epoch["objective"] <= optimum * (1 + distance);
        };
        const auto near = std::ranges::find_if(epochs, is_near);
        ASSERT_NE(near, epochs.end());
        const auto done = static_cast<double>(near - epochs.begin() + 1);
        EXPECT_LE(done + 1, most) << distance;
        EXPECT_LE((*near)["rounds"].get<double>() - (2 * done + 1), most / 4) << distance;
      };
      expect_within(1e-4, 60);
      expect_within(1e-5 * 1.1, 80);
    }
}

TEST_F(DefaultsLearn, ByAdmmInFifteenMergesThatEndsByItself) {
  for (const std::string& name : kSets) {
    SCOPED_TRACE(name);
    std::vector<std::string> arguments = job_of(name, 4);
    arguments.insert(arguments.end(), {"--optim", "admm"});
    const nlohmann::json summary = train(arguments);
    EXPECT_EQ(summary["ended_by"], "converged");
    EXPECT_EQ(summary["warnings"].size(), 0U) << summary["warnings"];
    EXPECT_GE(score_in(summary), least_score(name));
    const std::vector<nlohmann::json> epochs = epochs_of(summary);
    EXPECT_GE(score_in(epochs.at(std::min<std::size_t>(15, epochs.size()) - 1)), least_score(name));
  }
}

TEST_F(DefaultsLearn, ByGradientStepsThatDoNotDiverge) {
  for (const std::string& name : kSets)
    for (const std::vector<std::string>& how : {std::vector<std::string>{"--optim", "grad_avg"},
                                                {"--optim", "model_avg", "--momentum", "0.9"},
                                                {"--optim", "grad_avg", "--optimizer", "adamw"}}) {
      std::vector<std::string> arguments = job_of(name, 2);
      arguments.insert(arguments.end(), how.begin(), how.end());
      const nlohmann::json summary = train(arguments);
      const std::vector<nlohmann::json> epochs = epochs_of(summary);
      ASSERT_GT(epochs.size(), 1U);
      EXPECT_LT(epochs.back()["train_loss"], 0.999 * epochs.front()["train_loss"].get<double>())
          << name << " " << how[1];
    }
}

// The file is for rows as they are: the command that predicts knows nothing of the scaling.
TEST_F(DefaultsLearn, FromScaledColumnsAModelForRowsAsTheyAre) {
  // Columns of largest value 1 are penalized more than those of deviation 1.
  for (const auto& [how, least] :
       {std::pair<std::string, double>{"standard", 0.95}, {"maxabs", 0.85}, {"auto", 0.95}}) {
    std::vector<std::string> arguments = job_of("wine", 3);
    arguments.insert(arguments.end(), {"--scale", how});
    const nlohmann::json summary = train(arguments);
    const Result predicted = lambdaml({"predict", "--model", summary["model_path"], "--data",
                                       (folder() / "wine.test.libsvm").string(), "--json", "-q"});
    ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
    EXPECT_EQ(predicted.json()["accuracy"], summary["test_accuracy"]) << how;
    EXPECT_GE(summary["test_accuracy"], least) << how;
  }
}

}  // namespace
}  // namespace lambdaml::e2e
