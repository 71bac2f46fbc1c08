// Signs of how good a result is, and ways to go on from it: warnings, patience, --init, and resume
// with more epochs; weights of classes, and a budget.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Quality : public CliTest {
 protected:
  /// Rows of two overlapping classes in two columns of very different sizes, 7 of 10 of class 1.
  std::string rows(std::size_t n, bool with_noise = true) const {
    std::ostringstream text;
    std::uint64_t state = 88172645463325252ULL;
    const auto draw = [&] {  // uniform in [−1, 1)
      state ^= state << 13U;
      state ^= state >> 7U;
      state ^= state << 17U;
      return static_cast<double>(state >> 11U) * 0x1.0p-52 - 1;
    };
    for (std::size_t i = 0; i < n; ++i) {
      const int label = i % 10 < 7 ? 1 : 0;
      const double center = with_noise ? 0.3 * (2 * label - 1) : 0;
      text << label << " 1:" << draw() + center << " 2:" << 5000 + 1000 * (draw() + center)
           << " 3:" << draw() << "\n";
    }
    return text.str();
  }

  std::vector<nlohmann::json> epochs_of(const std::string& run) const {
    std::vector<nlohmann::json> out;
    std::ifstream file(folder() / run / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) out.push_back(nlohmann::json::parse(line));
    return out;
  }
  std::string model(const std::string& run) const {
    return read(folder() / run / "model.safetensors");
  }
  nlohmann::json resume(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "resume");
    for (const char* more : {"--json", "-q"}) arguments.emplace_back(more);
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json();
  }
};

std::vector<std::string> with(std::vector<std::string> arguments,
                              const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_F(Quality, AModelThatIsNoBetterThanAConstantOneIsReportedOnce) {
  write("data.libsvm", rows(300));
  const std::vector<std::string> bad{"train",     "--data", "data.libsvm", "--lr",     "1",
                                     "--workers", "2",      "--scale",     "none",     "--epochs",
                                     "2",         "-q",     "--json",      "--output", "bad"};
  const Result result = lambdaml(bad);
  EXPECT_EQ(result.exit_code, 0);
  const nlohmann::json summary = result.json();
  ASSERT_EQ(summary["warnings"].size(), 1U) << summary["warnings"];
  const std::string warning = summary["warnings"][0];
  EXPECT_THAT(warning, HasSubstr("no better than a constant one"));
  EXPECT_EQ(result.err, "warning: " + warning + "\n");
  const nlohmann::json good = train({"--data", "data.libsvm", "--workers", "2"});
  EXPECT_THAT(good["warnings"], IsEmpty());
  EXPECT_EQ(good["ended_by"], "converged");
}

TEST_F(Quality, AnOptimizerThatEndsBeforeItHasConvergedIsReported) {
  write("data.libsvm", rows(300));
  const nlohmann::json summary = train({"--data", "data.libsvm", "--epochs", "2", "--output", "r"});
  EXPECT_THAT(summary["warnings"].dump(), HasSubstr("lbfgs has not converged in 2 epochs"));
  EXPECT_THAT(resume({"r", "--epochs", "100"})["warnings"], IsEmpty());
}

/// Only jobs that an old version began can have a label without training rows, and warn of it.
TEST_F(Quality, TheOnlyRowOfALabelIsTrainedOn) {
  write("data.libsvm", rows(300) + "5 1:0.5 2:5000 3:0.1\n");
  for (const std::vector<std::string>& held_out : {std::vector<std::string>{"--valid-ratio", "0.8"},
                                                   {"--folds", "2", "--fold", "0"},
                                                   {"--folds", "2", "--fold", "1"}}) {
    const nlohmann::json summary =
        train(with({"--data", "data.libsvm", "--workers", "2"}, held_out));
    EXPECT_THAT(summary["warnings"], IsEmpty()) << held_out[0];
  }
}

TEST_F(Quality, NumbersThatTheMeanPredictsAsWellAreReported) {
  std::ostringstream text;
  for (int i = 0; i < 60; ++i) text << i % 7 + 0.5 << " 1:" << 1000 + i << "\n";
  write("data.libsvm", text.str());
  const nlohmann::json summary =
      train({"--data", "data.libsvm", "--model", "linear", "--optim", "grad_avg", "--scale", "none",
             "--lr", "1e-9", "--epochs", "2", "--workers", "2"});
  EXPECT_THAT(summary["warnings"].dump(), HasSubstr("its R² on the training rows is -"));
}

// Steps this long wander about, so that the best epoch is not the last one.
const std::vector<std::string> kWandering{"--data",   "data.libsvm", "--batch-size", "20",
                                          "--lr",     "1",           "--momentum",   "0.9",
                                          "--epochs", "200"};

TEST_F(Quality, PatienceEndsTheJobAndKeepsTheBestEpoch) {
  write("data.libsvm", rows(600));
  for (const char* workers : {"1", "3"}) {
    const std::string run = std::string("p") + workers;
    const nlohmann::json summary =
        train(with(kWandering, {"--patience", "3", "--workers", workers, "--scale", "standard",
                                "--output", run}));
    EXPECT_EQ(summary["ended_by"], "patience");
    const std::vector<nlohmann::json> epochs = epochs_of(run);
    const auto best = std::ranges::min_element(
        epochs, {}, [](const nlohmann::json& epoch) { return epoch["valid_loss"].get<double>(); });
    EXPECT_EQ(summary["best_epoch"], (*best)["epoch"]);
    EXPECT_EQ(summary["epochs"], summary["best_epoch"].get<int>() + 3);
    EXPECT_EQ(epochs.size(), summary["epochs"].get<std::size_t>());
    EXPECT_NEAR(summary["valid_loss"], (*best)["valid_loss"], 1e-12);
    // It is the model of a job that ends at the best epoch.
    const nlohmann::json to_best = train(
        with(kWandering, {"--stop-after", std::to_string(summary["best_epoch"].get<int>()),
                          "--workers", workers, "--scale", "standard", "--output", run + "b"}));
    EXPECT_EQ(to_best["valid_loss"], summary["valid_loss"]);
  }
}

TEST_F(Quality, PatienceSpansInvocationsAndResumption) {
  write("data.libsvm", rows(600));
  const std::vector<std::string> job =
      with(kWandering, {"--patience", "4", "--workers", "2", "--scale", "standard"});
  const nlohmann::json whole = train(with(job, {"--output", "whole"}));
  train(with(job, {"--run-epochs", "1", "--output", "cut"}));
  EXPECT_TRUE(model("cut") == model("whole"));
  // Paused after the best epoch, before patience is over.
  const int pause = whole["best_epoch"].get<int>() + 2;
  const nlohmann::json paused =
      train(with(job, {"--stop-after", std::to_string(pause), "--output", "paused"}));
  EXPECT_EQ(paused["ended_by"], "stop_after");
  EXPECT_EQ(paused["best_epoch"], whole["best_epoch"]);
  const nlohmann::json resumed = resume({"paused"});
  EXPECT_EQ(resumed["ended_by"], "patience");
  EXPECT_EQ(resumed["epochs"], whole["epochs"]);
  EXPECT_EQ(resumed["valid_loss"], whole["valid_loss"]);
  const Result more = lambdaml({"resume", "whole", "--epochs", "300"});
  EXPECT_EQ(more.exit_code, 2);
  EXPECT_THAT(more.err, HasSubstr("--init"));
}

TEST_F(Quality, PatienceWithoutHeldOutRowsJudgesByTheTrainingLoss) {
  write("data.libsvm", rows(600));
  const nlohmann::json summary = train(with(kWandering, {"--patience", "3", "--valid-ratio", "0",
                                                         "--scale", "standard", "--output", "r"}));
  const std::vector<nlohmann::json> epochs = epochs_of("r");
  const auto best = std::ranges::min_element(
      epochs, {}, [](const nlohmann::json& epoch) { return epoch["train_loss"].get<double>(); });
  EXPECT_EQ(summary["best_epoch"], (*best)["epoch"]);
}

TEST_F(Quality, AWarmStartBeginsWithTheModelAlsoOnScaledColumns) {
  write("data.libsvm", rows(400));
  for (const char* scale : {"none", "standard", "maxabs"}) {
    const std::string first = std::string("first-") + scale;
    // Rows of one scale converge without scaling, others only with it.
    const nlohmann::json before = train({"--data", "data.libsvm", "--workers", "2", "--scale",
                                         "standard", "--valid-ratio", "0", "--output", first});
    // So small a step changes nothing.
    const nlohmann::json after =
        train({"--data", "data.libsvm", "--workers", "3", "--scale", scale, "--init", first,
               "--valid-ratio", "0", "--lr", "1e-30", "--epochs", "1"});
    EXPECT_NEAR(after["train_loss"], before["train_loss"], 2e-6) << scale;
  }
  const nlohmann::json cold = train({"--data", "data.libsvm", "--output", "cold"});
  const nlohmann::json warm =
      train({"--data", "data.libsvm", "--init", "cold/model.safetensors", "--output", "warm"});
  EXPECT_LT(warm["epochs"], cold["epochs"].get<int>() / 2 + 1);
  EXPECT_NEAR(warm["train_loss"], cold["train_loss"], 1e-5);
}

TEST_F(Quality, KMeansStartsFromTheCentroidsOfAModel) {
  write("data.libsvm", rows(300));
  const std::vector<std::string> job{"--data",     "data.libsvm", "--model",   "kmeans",
                                     "--clusters", "4",           "--workers", "2"};
  const nlohmann::json first = train(with(job, {"--epochs", "100", "--output", "first"}));
  const nlohmann::json again = train(with(job, {"--seed", "9", "--init", "first"}));
  EXPECT_LE(again["epochs"], 2);
  EXPECT_NEAR(again["inertia"], first["inertia"], 1e-5 * first["inertia"].get<double>());
  // Centroids that are there need no more rows.
  write("few.libsvm", rows(2));
  const nlohmann::json few = train({"--data", "few.libsvm", "--model", "kmeans", "--clusters", "4",
                                    "--init", "first", "--workers", "1"});
  EXPECT_LT(few["inertia"].get<double>(), 1e-6);
  const Result other = lambdaml({"train", "--data", "data.libsvm", "--model", "kmeans",
                                 "--clusters", "5", "--init", "first"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("shape [4, 3], and that of the job's model [5, 3]"));
}

TEST_F(Quality, AWarmStartIsRefusedUnlessModelAndDataFit) {
  write("data.csv", "age,height,y\n1,2,a\n3,4,b\n5,7,a\n6,8,b\n");
  write("order.csv", "height,age,y\n1,2,a\n3,4,b\n5,7,a\n6,8,b\n");
  write("wider.csv", "age,height,z,y\n1,2,0,a\n3,4,1,b\n5,7,0,a\n6,8,1,b\n");
  write("classes.csv", "age,height,y\n1,2,a\n3,4,c\n5,7,a\n6,8,c\n");
  write("broken", "no model");
  const std::vector<std::string> options{"--workers", "1", "--valid-ratio", "0", "--label", "y"};
  train(with({"--data", "data.csv", "--output", "first"}, options));
  const auto error_of = [&](const std::vector<std::string>& arguments) {
    const Result result =
        lambdaml(with(with({"train", "-q", "--output", "no"}, options), arguments));
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_FALSE(std::filesystem::exists(folder() / "no"));
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    return result.err;
  };
  EXPECT_THAT(error_of({"--data", "order.csv", "--init", "first"}),
              HasSubstr("is 'age', and that of the data 'height'"));
  EXPECT_THAT(error_of({"--data", "wider.csv", "--init", "first"}),
              HasSubstr("has 2 features, and the data have 3"));
  EXPECT_THAT(error_of({"--data", "classes.csv", "--init", "first"}),
              HasSubstr("has the classes a, b, and the data a, c"));
  EXPECT_THAT(error_of({"--data", "data.csv", "--model", "svm", "--init", "first"}),
              HasSubstr("give --model lr"));
  EXPECT_THAT(error_of({"--data", "data.csv", "--init", "nowhere"}), HasSubstr("no such file"));
  EXPECT_THAT(error_of({"--data", "data.csv", "--init", "broken"}), HasSubstr("broken"));
}

TEST_F(Quality, AJobGoesOnOnlyWithTheModelThatItBeganWith) {
  write("data.libsvm", rows(300));
  train({"--data", "data.libsvm", "--epochs", "5", "--output", "first"});
  train({"--data", "data.libsvm", "--epochs", "7", "--output", "other"});
  std::filesystem::copy(folder() / "first/model.safetensors", folder() / "init");
  train({"--data", "data.libsvm", "--init", "init", "--lr", "0.1", "--epochs", "4", "--stop-after",
         "2", "--output", "run"});
  std::filesystem::copy(folder() / "other/model.safetensors", folder() / "init",
                        std::filesystem::copy_options::overwrite_existing);
  const Result changed = lambdaml({"resume", "run"});
  EXPECT_EQ(changed.exit_code, 2);
  EXPECT_THAT(changed.err, HasSubstr("when the job began"));
  std::filesystem::copy(folder() / "first/model.safetensors", folder() / "init",
                        std::filesystem::copy_options::overwrite_existing);
  resume({"run"});
  train({"--data", "data.libsvm", "--init", "init", "--lr", "0.1", "--epochs", "4", "--output",
         "whole"});
  EXPECT_EQ(resume({"run"})["train_loss"], resume({"whole"})["train_loss"]);
}

TEST_F(Quality, ClassWeightsAreThoseOfScikitLearn) {
  REQUIRE_OR_SKIP(std::system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") == 0,
                  "no python3-sklearn here");
  ASSERT_EQ(std::system(("/usr/bin/python3 " LAMBDAML_SOURCE_DIR "/tests/e2e/scikit_weights.py " +
                         folder().string() + " > " + (folder() / "reference.json").string())
                            .c_str()),
            0);
  const nlohmann::json reference = nlohmann::json::parse(read(folder() / "reference.json"));
  const auto compare = [&](const std::string& name, const nlohmann::json& summary, double close) {
    const Result shown = lambdaml({"model", summary["model_path"], "--json"});
    ASSERT_EQ(shown.exit_code, 0) << shown.err;
    const nlohmann::json model = shown.json();
    // Ours has a list for each class; scikit-learn's of two classes has that of the second.
    const std::size_t skipped = reference[name]["coefficients"].size() == 1 ? 1 : 0;
    // Of several classes both leave a common shift of the intercepts open.
    double shift = 0;
    const nlohmann::json& intercepts = reference[name]["intercept"];
    if (skipped == 0)
      for (std::size_t c = 0; c < intercepts.size(); ++c)
        shift += (intercepts[c].get<double>() - model["intercept"][c].get<double>()) /
                 static_cast<double>(intercepts.size());
    for (std::size_t c = 0; c < intercepts.size(); ++c) {
      EXPECT_NEAR(model["intercept"][c + skipped].get<double>() + shift, intercepts[c], close)
          << name;
      for (std::size_t j = 0; j < 5; ++j)
        EXPECT_NEAR(model["coefficients"][c + skipped][j], reference[name]["coefficients"][c][j],
                    close)
            << name;
    }
  };
  for (const auto& [name, expected] : reference.items()) {
    const std::string weights = name.substr(2);
    const std::vector<std::string> job{"--data",         name.substr(0, 1) + ".libsvm",
                                       "--valid-ratio",  "0",
                                       "--scale",        "none",
                                       "--class-weight", weights};
    const std::vector<std::string> exact{"--lbfgs-tolerance-loss", "0",
                                         "--lbfgs-tolerance-gradient", "1e-6"};
    compare(name, train(with(with(job, exact), {"--workers", "1"})), 1e-3);
    compare(name, train(with(with(job, exact), {"--workers", "3"})), 1e-3);
    compare(name, train(with(job, {"--workers", "2", "--optim", "admm"})), 0.02);
    compare(name,
            train(with(job, {"--workers", "2", "--optim", "grad_avg", "--l2", "auto", "--epochs",
                             "1000", "--batch-size", "200"})),
            0.01);
  }
}

TEST_F(Quality, ClassWeightsOfAJobThatGoesOnAreTheSame) {
  write("data.libsvm", rows(300));
  const std::vector<std::string> job{"--data",    "data.libsvm", "--class-weight", "balanced",
                                     "--workers", "3",           "--lr",           "0.1",
                                     "--scale",   "standard",    "--epochs",       "6"};
  const nlohmann::json whole = train(with(job, {"--output", "whole"}));
  EXPECT_THAT(whole["warnings"], IsEmpty());
  const nlohmann::json cut = train(with(job, {"--run-epochs", "1", "--output", "cut"}));
  EXPECT_TRUE(model("cut") == model("whole"));
  EXPECT_EQ(cut["valid_loss"], whole["valid_loss"]);
  const Result unknown =
      lambdaml({"train", "--data", "data.libsvm", "--class-weight", "7=2", "--output", "no"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("class_weight: the data have no label '7'"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "no"));
}

TEST_F(Quality, ABudgetEndsTheJobWithThree) {
  write("data.libsvm", rows(300));
  const std::vector<std::string> job{"train",   "--data",   "data.libsvm", "--lr", "0.1",
                                     "--scale", "standard", "--workers",   "2",    "--epochs",
                                     "1000000", "--output", "run",         "-q"};
  // 2 · 1.73 GB · $0.0000166667 a second: half a second costs 28.8 millionths.
  const Result result = lambdaml(with(job, {"--budget", "2.88e-5"}));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("$2.88e-05, as --budget says; continue with: lambdaml resume"));
  EXPECT_GT(epochs_of("run").size(), 1U);
  const Result more = lambdaml({"resume", "run", "--budget", "100", "--deadline", "0.2", "-q"});
  EXPECT_EQ(more.exit_code, 3);
  EXPECT_THAT(more.err, HasSubstr("as --deadline says"));
  // What was asked for is in the command that continues.
  const Result further = lambdaml({"resume", "run", "--epochs", "2000000", "--deadline", "0.2"});
  EXPECT_EQ(further.exit_code, 3);
  EXPECT_THAT(further.err, HasSubstr("continue with: lambdaml resume " +
                                     (folder() / "run").string() + " --epochs 2000000"));
}

struct Longer {
  std::string name;
  std::vector<std::string> arguments;
  std::string epochs = "--epochs";
};
void PrintTo(const Longer& job, std::ostream* out) { *out << job.name; }

class TrainedOn : public Quality, public testing::WithParamInterface<Longer> {};

TEST_P(TrainedOn, ARunWithMoreEpochsEndsAsOneThatWasBegunWithThem) {
  write("data.libsvm", rows(300));
  const std::vector<std::string> job =
      with({"--data", "data.libsvm", "--workers", "2"}, GetParam().arguments);
  const std::string& epochs = GetParam().epochs;
  const nlohmann::json whole = train(with(job, {epochs, "6", "--output", "whole"}));
  train(with(job, {epochs, "2", "--output", "run"}));
  EXPECT_EQ(resume({"run", epochs, "4"})["epochs"], 4);
  const nlohmann::json last = resume({"run", epochs, "6"});
  EXPECT_EQ(last["epochs"], 6);
  EXPECT_EQ(last["rounds"], whole["rounds"]);
  EXPECT_TRUE(model("run") == model("whole"));
  EXPECT_EQ(epochs_of("run").size(), 6U);
  EXPECT_EQ(resume({"run"}), last) << "a run that has ended is only shown";
  EXPECT_EQ(resume({"run", epochs, "6"}), last);
  EXPECT_EQ(lambdaml({"resume", "run", epochs, "5"}).exit_code, 2);
}

INSTANTIATE_TEST_SUITE_P(
    Jobs, TrainedOn,
    testing::Values(
        Longer{"grad_avg", {"--batch-size", "20", "--momentum", "0.9", "--lr-schedule", "inverse"}},
        Longer{"adam", {"--batch-size", "20", "--optimizer", "adam"}},
        Longer{"model_avg", {"--optim", "model_avg", "--model", "svm"}},
        Longer{"lbfgs", {"--lbfgs-tolerance-loss", "0", "--lbfgs-tolerance-gradient", "0"}},
        Longer{"admm",
               {"--optim", "admm", "--admm-tolerance-abs", "0", "--admm-tolerance-rel", "0"},
               "--admm-epochs"},
        Longer{"kmeans", {"--model", "kmeans", "--clusters", "20", "--threshold", "0"}}),
    [](const auto& info) { return info.param.name; });

TEST_F(Quality, ARunThatMetItsConditionTrainsOnWithoutIt) {
  write("data.libsvm", rows(300));
  const std::vector<std::string> job{"--data",    "data.libsvm", "--lr",    "0.1",
                                     "--workers", "2",           "--scale", "standard"};
  const nlohmann::json first =
      train(with(job, {"--until", "train_loss<=0.68", "--epochs", "50", "--output", "run"}));
  ASSERT_EQ(first["ended_by"], "until");
  const std::string more = std::to_string(first["epochs"].get<int>() + 4);
  EXPECT_EQ(resume({"run", "--epochs", more})["ended_by"], "epochs");
  train(with(job, {"--epochs", more, "--output", "whole"}));
  EXPECT_EQ(epochs_of("run").back()["valid_loss"], epochs_of("whole").back()["valid_loss"]);
}

TEST_F(Quality, WhatMoreEpochsWouldNotDoIsSaid) {
  write("data.libsvm", rows(300));
  const nlohmann::json converged = train({"--data", "data.libsvm", "--output", "converged"});
  const Result same = lambdaml({"resume", "converged", "--epochs", "500", "--json"});
  EXPECT_EQ(same.exit_code, 0);
  EXPECT_THAT(same.err, HasSubstr("has converged in"));
  EXPECT_EQ(same.json(), converged);
  const Result other = lambdaml({"resume", "converged", "--admm-epochs", "500"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("those of --epochs"));
  train({"--data", "data.libsvm", "--lr", "0.1", "--lr-schedule", "cosine", "--epochs", "3",
         "--output", "cosine"});
  const Result cosine = lambdaml({"resume", "cosine", "--epochs", "5", "-q"});
  EXPECT_EQ(cosine.exit_code, 0);
  EXPECT_THAT(cosine.err, HasSubstr("depend on the number of epochs"));
}

}  // namespace
}  // namespace lambdaml::e2e
