// Weights of rows: a job with --weight-column learns what scikit-learn does with sample_weight,
// wherever the weights come from; what cannot be is one line.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

using testing::HasSubstr;

class Weights : public CliTest {
 protected:
  static std::vector<std::string> with(std::vector<std::string> arguments,
                                       const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  double last_objective(const nlohmann::json& summary) const {
    std::ifstream file(std::filesystem::path(summary["model_path"].get<std::string>())
                           .replace_filename("metrics.jsonl"));
    nlohmann::json last;
    for (std::string line; std::getline(file, line);) last = nlohmann::json::parse(line);
    return last.at("objective");
  }

  nlohmann::json shown(const nlohmann::json& summary) const {
    const Result result = lambdaml({"model", summary["model_path"], "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json();
  }

  /// Compares coefficients with scikit-learn's; those of two classes are of the second.
  void expect_close(const nlohmann::json& model, const nlohmann::json& expected,
                    double close) const {
    const nlohmann::json& theirs = expected["intercept"];
    const std::size_t skipped = model["intercept"].size() - theirs.size();
    // Of several classes both leave a common shift of the intercepts open.
    double shift = 0;
    for (std::size_t c = 0; theirs.size() > 1 && c < theirs.size(); ++c)
      shift += (theirs[c].get<double>() - model["intercept"][c].get<double>()) /
               static_cast<double>(theirs.size());
    for (std::size_t c = 0; c < theirs.size(); ++c) {
      EXPECT_NEAR(model["intercept"][c + skipped].get<double>() + shift, theirs[c], close);
      for (std::size_t j = 0; j < 5; ++j)
        EXPECT_NEAR(model["coefficients"][c + skipped][j], expected["coefficients"][c][j], close);
    }
  }
};

TEST_F(Weights, AreScikitLearnsSampleWeight) {
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") == 0,
                  "no python3-sklearn here");
  ASSERT_EQ(
      std::system(("/usr/bin/python3 " LAMBDAML_SOURCE_DIR "/tests/e2e/scikit_sample_weight.py " +
                   folder().string() + " > " + (folder() / "reference.json").string())
                      .c_str()),
      0);
  const nlohmann::json reference = nlohmann::json::parse(read(folder() / "reference.json"));
  const std::vector<std::string> exact{"--lbfgs-tolerance-loss", "0", "--lbfgs-tolerance-gradient",
                                       "1e-6"};
  for (const auto& [name, expected] : reference.items()) {
    SCOPED_TRACE(name);
    const std::string kind = name.substr(0, 1);
    std::vector<std::string> rest{"--weight-column", "w", "--valid-ratio", "0", "--scale", "none"};
    if (kind == "0") rest = with(rest, {"--model", "linear"});
    if (name.size() > 2) rest = with(rest, {"--class-weight", name.substr(2)});
    const std::vector<std::string> job = with({"--data", kind + ".csv"}, rest);
    for (const char* workers : {"1", "3"}) {
      const nlohmann::json summary = train(with(with(job, exact), {"--workers", workers}));
      expect_close(shown(summary), expected, 1e-3);
      EXPECT_NEAR(last_objective(summary) / expected["objective"].get<double>(), 1, 1e-5);
      for (const char* metric : {"train_loss", "train_accuracy", "train_rmse", "train_mae"})
        if (expected.contains(metric)) {
          EXPECT_NEAR(summary[metric].get<double>(), expected[metric].get<double>(), 1e-4)
              << metric;
        }
      if (expected.contains("train_r2")) {
        EXPECT_NEAR(summary["train_r2"].get<double>(), expected["train_r2"].get<double>(), 1e-5);
      }
    }
    expect_close(shown(train(with(job, {"--workers", "2", "--optim", "admm"}))), expected, 0.02);
    expect_close(shown(train(with(job, {"--workers", "2", "--optim", "grad_avg", "--l2", "auto",
                                        "--epochs", "1000", "--batch-size", "200"}))),
                 expected, 0.02);
    // Prepared sets keep the weights, for this number of workers and for others.
    ASSERT_EQ(lambdaml({"data", "split", kind + ".csv", "--weight-column", "w", "--workers", "2",
                        "--to", "parts" + kind})
                  .exit_code,
              0);
    for (const char* workers : {"2", "3"})
      expect_close(
          shown(train(with(with({"--data", "parts" + kind, "--workers", workers}, rest), exact))),
          expected, 1e-3);
  }
  // An array of an .npz, without an option.
  expect_close(
      shown(train(with(
          {"--data", "2.npz", "--valid-ratio", "0", "--scale", "none", "--workers", "2"}, exact))),
      reference["2 "], 1e-3);
}

/// Rows of two overlapping classes; those of weight 0 have wrong labels.
std::string weighted_rows(int n, bool weights = true) {
  std::string text = weights ? "y,a,b,w\n" : "y,a,b\n";
  for (int i = 0; i < n; ++i) {
    const int label = i % 3 == 0 ? 1 : 0;
    const double a = (label * 2 - 1) + std::sin(i * 1.7) * 1.5;
    const bool is_wrong = i % 5 == 4;
    text += std::to_string(is_wrong ? 1 - label : label) + "," + std::to_string(a) + "," +
            std::to_string(std::cos(i * 0.9));
    if (weights) text += "," + std::to_string(is_wrong ? 0.0 : 0.5 + (i % 4));
    text += "\n";
  }
  return text;
}

TEST_F(Weights, OfAJobThatGoesOnAreTheSame) {
  write("data.csv", weighted_rows(300));
  const std::vector<std::string> job{
      "--data",  "data.csv", "--weight-column", "w", "--workers",      "3",       "--lr", "0.1",
      "--scale", "standard", "--epochs",        "6", "--class-weight", "balanced"};
  const nlohmann::json whole = train(with(job, {"--output", "whole"}));
  const nlohmann::json cut = train(with(job, {"--run-epochs", "1", "--output", "cut"}));
  const auto model = [&](const std::string& run) {
    return read(folder() / run / "model.safetensors");
  };
  EXPECT_TRUE(model("cut") == model("whole"));
  EXPECT_EQ(cut["valid_loss"], whole["valid_loss"]);
  EXPECT_GT(whole["valid_loss"], 0);
}

/// Points around five places; `copies`: each as often as it weighs.
std::string points(int n, bool copies) {
  std::string text = copies ? "a,b,c\n" : "a,b,c,w\n";
  for (int i = 0; i < n; ++i) {
    std::string row;
    for (int j = 0; j < 3; ++j)
      row += (j == 0 ? "" : ",") +
             std::to_string(7 * std::sin(i % 5 * 2.1 + j) + 1.5 * std::sin(i * 1.7 + j));
    const int weight = i % 7 % 4;
    for (int copy = 0; copies && copy < weight; ++copy) text += row + "\n";
    if (!copies) text += row + "," + std::to_string(weight) + "\n";
  }
  return text;
}

TEST_F(Weights, OfKMeansAreRepeatedRows) {
  write("rows.csv", points(400, false));
  write("copies.csv", points(400, true));
  const std::vector<std::string> kmeans{"--model", "kmeans", "--clusters",  "5",
                                        "--label", "none",   "--threshold", "0"};
  const std::vector<std::string> rows =
      with(kmeans, {"--data", "rows.csv", "--weight-column", "w"});
  train(with(kmeans, {"--data", "copies.csv", "--epochs", "1", "--output", "start"}));
  const nlohmann::json expected = train(with(
      kmeans, {"--data", "copies.csv", "--init", "start", "--workers", "2", "--epochs", "99"}));
  EXPECT_GT(expected["epochs"], 1);
  for (const char* workers : {"1", "3"}) {
    const nlohmann::json weighted =
        train(with(rows, {"--init", "start", "--workers", workers, "--epochs", "99"}));
    EXPECT_NEAR(weighted["inertia"].get<double>() / expected["inertia"].get<double>(), 1, 1e-5);
    EXPECT_EQ(weighted["epochs"], expected["epochs"]);
  }
  // From a start of its own: any number of workers, of prepared parts too, and a job that goes on.
  const auto job = [&](const std::vector<std::string>& data, const std::vector<std::string>& more) {
    return train(with(with(kmeans, {"--seed", "3", "--epochs", "99"}), with(data, more)));
  };
  const std::vector<std::string> table{"--data", "rows.csv", "--weight-column", "w"};
  const nlohmann::json whole = job(table, {"--workers", "3", "--output", "whole"});
  const nlohmann::json cut = job(table, {"--workers", "3", "--run-epochs", "1", "--output", "cut"});
  ASSERT_EQ(lambdaml({"data", "split", "rows.csv", "--weight-column", "w", "--label", "none",
                      "--workers", "3", "--to", "parts"})
                .exit_code,
            0);
  const nlohmann::json parts = job({"--data", "parts"}, {"--workers", "3", "--output", "prepared"});
  const auto model = [&](const std::string& run) {
    return read(folder() / run / "model.safetensors");
  };
  EXPECT_TRUE(model("cut") == model("whole"));
  // The files say which options had been given; the centroids are at the end.
  constexpr std::size_t kCentroids = 5 * 3 * sizeof(float);
  EXPECT_TRUE(
      model("prepared").ends_with(model("whole").substr(model("whole").size() - kCentroids)));
  EXPECT_EQ(parts["inertia"], whole["inertia"]);
  EXPECT_EQ(cut["inertia"], whole["inertia"]);
  for (const char* workers : {"1", "2", "7"}) {
    const nlohmann::json other = job(table, {"--workers", workers});
    EXPECT_NEAR(other["inertia"].get<double>() / whole["inertia"].get<double>(), 1, 1e-6);
    EXPECT_EQ(other["epochs"], whole["epochs"]);
  }
  EXPECT_NE(job({"--data", "parts", "--weight-column", "none"}, {})["inertia"], whole["inertia"]);
}

TEST_F(Weights, AreNotNeededToPredict) {
  write("data.csv", weighted_rows(300));
  write("plain.csv", weighted_rows(300, false));
  train({"--data", "data.csv", "--weight-column", "w", "--test-data", "plain.csv", "--workers", "2",
         "--output", "run"});
  const auto predicted = [&](const std::vector<std::string>& arguments) {
    const Result result =
        lambdaml(with({"predict", "--model", "run", "--out", "out.txt"}, arguments));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, testing::Not(HasSubstr("left out")));
    return read(folder() / "out.txt");
  };
  const std::string expected = predicted({"--data", "plain.csv"});
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(predicted({"--data", "data.csv"}), expected);
  EXPECT_EQ(predicted({"--data", "data.csv", "--weight-column", "w"}), expected);
  EXPECT_EQ(predicted({"--data", "plain.csv", "--weight-column", "w"}), expected);
}

TEST_F(Weights, ThatCannotBeAreOneLine) {
  write("data.csv", weighted_rows(60));
  write("zero.csv", "y,a,w\n1,2,0\n0,3,0\n");
  write("bad.csv", "y,a,w\n1,2,1\n0,3,-1\n");
  write("data.libsvm", "1 1:1\n0 1:2\n");
  struct Bad {
    std::vector<std::string> arguments;
    std::string error;
  };
  const Bad cases[] = {
      {{"--data", "data.csv", "--weight-column", "v"},
       "data.csv: --weight-column 'v': there is no such column"},
      {{"--data", "zero.csv", "--weight-column", "w"}, "zero.csv: the weights of all rows are 0"},
      {{"--data", "bad.csv", "--weight-column", "w"},
       "bad.csv:3: row 2, column 'w': the weight '-1' is no finite number from 0 up"},
      {{"--data", "data.libsvm", "--weight-column", "1"},
       "data.libsvm: its rows have no weights: --weight-column '1' is for a column"},
  };
  for (const Bad& bad : cases) {
    const Result result =
        lambdaml(with({"train", "--workers", "2", "--output", "no"}, bad.arguments));
    EXPECT_EQ(result.exit_code, 2) << bad.error;
    EXPECT_THAT(result.err, HasSubstr(bad.error));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(folder() / "no"));
  }
  const Result split = lambdaml({"data", "split", "data.csv", "--weight-column", "w", "--workers",
                                 "2", "--to", "parts", "--as", "libsvm"});
  EXPECT_EQ(split.exit_code, 2);
  EXPECT_THAT(split.err, HasSubstr("libsvm have no place for the rows' weights"));
}

}  // namespace
}  // namespace lambdaml::e2e
