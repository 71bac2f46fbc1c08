// Predictions: here, by functions beside the data, and by a function that answers rows.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/core.h>

#include "e2e/lambda.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

/// Rows of three classes, in no order.
std::string three_classes(int rows) {
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const int label = i * 7 % 11 % 3;
    text += fmt::format("{} 1:{} 2:{} 4:{}\n", label * 5 - 5, (i * 37 % 101) / 50.0 - 1 + label,
                        (i * 53 % 97) / 48.0 - label, (i * 29 % 89) / 44.0 - 1);
  }
  return text;
}

class Predictions : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    write("rows.libsvm", three_classes(300));
    train({"--data", "rows.libsvm", "--workers", "1", "--epochs", "5", "--lr", "0.5", "--output",
           "run"});
  }
  Result predict(const std::vector<std::string>& more,
                 const std::vector<std::string>& environment = {}) const {
    std::vector<std::string> arguments{"predict"};
    if (std::ranges::find(more, "--model") == more.end())
      arguments.insert(arguments.end(), {"--model", "run"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return lambdaml(arguments, environment);
  }
  void expect_refused(const std::vector<std::string>& more, const std::string& words) const {
    const Result result = predict(more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find(words), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
  /// The results of a job of functions one after another, each without its header.
  std::string joined(const std::string& to, int parts, bool has_header) const {
    std::string all;
    for (int i = 0; i < parts; ++i) {
      std::string text = read(folder() / to / fmt::format("{}_{}.csv", i, parts));
      const std::string header = text.substr(0, text.find('\n') + 1);
      if (has_header && i > 0) text = text.substr(header.size());
      all += text;
    }
    return all;
  }
};

TEST_F(Predictions, ARunsFolderIsItsModel) {
  const Result by_file =
      predict({"--model", "run/model.safetensors", "--data", "rows.libsvm", "-q"});
  const Result by_folder = predict({"--data", "rows.libsvm", "-q"});
  ASSERT_EQ(by_folder.exit_code, 0) << by_folder.err;
  EXPECT_EQ(by_folder.out, by_file.out);
  EXPECT_EQ(std::count(by_folder.out.begin(), by_folder.out.end(), '\n'), 300);
  const Result by_uri =
      predict({"--model", "file://" + (folder() / "run").string(), "--data", "rows.libsvm", "-q"});
  EXPECT_EQ(by_uri.out, by_file.out);

  fs::create_directory(folder() / "empty");
  expect_refused({"--model", "empty", "--data", "rows.libsvm"},
                 "there is no such file, nor the folder of a run with its model");
  fs::create_directory(folder() / "begun");
  fs::copy(folder() / "run/run.json", folder() / "begun/run.json");
  expect_refused({"--model", "begun", "--data", "rows.libsvm"}, "it has not ended");
}

TEST_F(Predictions, ASearchsFolderIsItsBestModel) {
  write("search.yaml",
        "data: rows.libsvm\nworkers: 1\nepochs: 2\ntune:\n  strategy: grid\n  metric: valid_loss\n"
        "  space:\n    lr:\n      choice: [0.001, 0.5]\n");
  const Result tuned = lambdaml({"tune", "search.yaml", "--output", "search", "--json", "-q"});
  ASSERT_EQ(tuned.exit_code, 0) << tuned.err;
  const Result best = predict({"--model", "search", "--data", "rows.libsvm", "-q"});
  ASSERT_EQ(best.exit_code, 0) << best.err;
  const Result of_file =
      predict({"--model", "search/model.safetensors", "--data", "rows.libsvm", "-q"});
  EXPECT_EQ(best.out, of_file.out);
  const nlohmann::json shown = lambdaml({"model", "search", "--json"}).json();
  EXPECT_EQ(shown["options"]["lr"], 0.5);
}

TEST_F(Predictions, ProbabilitiesAndScoresStandBesideTheLabels) {
  const Result result =
      predict({"--data", "rows.libsvm", "--proba", "--scores", "--out", "p.csv", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(read(folder() / "p.csv"));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "label,p_-5,p_0,p_5,score_-5,score_0,score_5");
  double log_loss = 0, rows = 0;
  std::istringstream data(read(folder() / "rows.libsvm"));
  for (std::string row; std::getline(lines, line) && std::getline(data, row); ++rows) {
    double v[7];
    ASSERT_EQ(std::sscanf(line.c_str(), "%lf,%lf,%lf,%lf,%lf,%lf,%lf", v, v + 1, v + 2, v + 3,
                          v + 4, v + 5, v + 6),
              7)
        << line;
    EXPECT_NEAR(v[1] + v[2] + v[3], 1, 1e-6);
    EXPECT_NEAR(std::log(v[2] / v[1]), v[5] - v[4], 1e-3);
    log_loss -= std::log(v[1 + (std::stoi(row) + 5) / 5]);
  }
  EXPECT_EQ(rows, 300);
  EXPECT_NEAR(log_loss / rows, result.json().at("log_loss"), 1e-5);

  const Result lines_of_json =
      predict({"--data", "rows.libsvm", "--proba", "--out-format", "jsonl", "-q"});
  const nlohmann::json first =
      nlohmann::json::parse(lines_of_json.out.substr(0, lines_of_json.out.find('\n')));
  EXPECT_TRUE(first.contains("label") && first["p"].contains("-5")) << first;
  ASSERT_EQ(predict({"--data", "rows.libsvm", "--out-format", "npy", "--out", "p.npy"}).exit_code,
            0);
  EXPECT_EQ(read(folder() / "p.npy").size(), 128U + 300 * 4);
  expect_refused({"--data", "rows.libsvm", "--out-format", "parquet"}, "unknown output format");
}

TEST_F(Predictions, ModelsWithoutProbabilitiesSaySo) {
  train({"--data", "rows.libsvm", "--model", "svm", "--workers", "1", "--epochs", "2", "--output",
         "svm"});
  train({"--data", "rows.libsvm", "--model", "kmeans", "--clusters", "2", "--workers", "1",
         "--output", "kmeans"});
  for (const std::string model : {"svm", "kmeans"})
    expect_refused({"--model", model, "--data", "rows.libsvm", "--proba"},
                   "a model of the kind " + model + " gives no probabilities");
  const Result scores =
      predict({"--model", "svm", "--data", "rows.libsvm", "--scores", "--out", "s", "--json"});
  EXPECT_TRUE(read(folder() / "s").starts_with("label,score_-5,score_0,score_5\n"));
  EXPECT_TRUE(scores.json().contains("auc"));
  EXPECT_FALSE(scores.json().contains("log_loss"));
  const Result clusters = predict({"--model", "kmeans", "--data", "rows.libsvm", "--scores", "-q"});
  EXPECT_TRUE(clusters.out.starts_with("cluster,distance\n")) << clusters.out.substr(0, 40);
}

TEST_F(Predictions, MeasuresAreToldInTextAndJson) {
  const Result json = predict({"--data", "rows.libsvm", "--out", "labels", "--json"});
  const nlohmann::json measures = json.json();
  for (const char* key : {"rows", "accuracy", "log_loss", "auc", "precision", "recall", "f1"})
    EXPECT_TRUE(measures[key].is_number()) << key;
  EXPECT_EQ(measures["classes"], (nlohmann::json{-5, 0, 5}));
  int rows = 0, correct = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      rows += measures["confusion"][i][j].get<int>();
      correct += i == j ? measures["confusion"][i][j].get<int>() : 0;
    }
  EXPECT_EQ(rows, 300);
  EXPECT_EQ(correct / 300.0, measures["accuracy"]);
  const Result text = predict({"--data", "rows.libsvm", "--out", "labels"});
  for (const char* word : {"300 rows, accuracy ", ", auc ", "precision", "label \\ predicted"})
    EXPECT_NE(text.out.find(word), std::string::npos) << text.out;
}

TEST_F(Predictions, UnknownLabelsAreAnErrorThatNamesThem) {
  write("other.libsvm", "1 1:1\n5 1:2\n7 2:1\n");
  expect_refused({"--data", "other.libsvm", "--out", "labels"},
                 "other.libsvm: 2 of its 3 rows have labels that the model does not know (1, 7; it "
                 "knows -5, 0, 5)");
  EXPECT_FALSE(fs::exists(folder() / "labels"));
  const Result ignored =
      predict({"--data", "other.libsvm", "--ignore-labels", "--out", "labels", "--json"});
  ASSERT_EQ(ignored.exit_code, 0) << ignored.err;
  EXPECT_EQ(ignored.json(), (nlohmann::json{{"rows", 3}}));
}

TEST_F(Predictions, AModelIsShown) {
  const Result json = lambdaml({"model", "run", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const nlohmann::json shown = json.json();
  EXPECT_EQ(shown["model"], "lr");
  EXPECT_EQ(shown["classes"], (nlohmann::json{-5, 0, 5}));
  EXPECT_EQ(shown["features"], (nlohmann::json{"1", "2", "3", "4"}));
  ASSERT_EQ(shown["coefficients"].size(), 3U);
  EXPECT_EQ(shown["coefficients"][0].size(), 4U);
  EXPECT_EQ(shown["coefficients"][1][2], 0.0) << "no row has feature 3";
  EXPECT_EQ(shown["intercept"].size(), 3U);
  EXPECT_EQ(shown["options"]["lr"], 0.5);
  const nlohmann::json summary = nlohmann::json::parse(read(folder() / "run/summary.json"));
  EXPECT_EQ(shown["metrics"]["train_loss"], summary["train_loss"]);
  // The scores that it predicts by are those of its coefficients.
  write("one.libsvm", "0 1:0.5 2:-2 4:0.25\n");
  const Result scores =
      predict({"--data", "one.libsvm", "--scores", "--out-format", "jsonl", "-q"});
  const nlohmann::json score = nlohmann::json::parse(scores.out)["score"];
  const nlohmann::json& w = shown["coefficients"];
  for (int c = 0; c < 3; ++c)
    EXPECT_NEAR(score[std::to_string(c * 5 - 5)],
                shown["intercept"][c].get<double>() + 0.5 * w[c][0].get<double>() -
                    2 * w[c][1].get<double>() + 0.25 * w[c][3].get<double>(),
                1e-5);

  const Result text = lambdaml({"model", "run/model.safetensors", "--all"});
  EXPECT_NE(text.out.find("lr: 3 classes (-5, 0, 5), 4 features"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("intercept  class 5"), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find("train_loss"), std::string::npos) << "a file alone has no metrics";
}

TEST_F(Predictions, FunctionsPredictAFileInTheOrderOfItsRows) {
  const Result here = predict({"--data", "rows.libsvm", "--proba", "--out", "here.csv", "--json"});
  ASSERT_EQ(here.exit_code, 0) << here.err;
  const nlohmann::json whole = here.json();
  for (const auto& [platform, channel] :
       {std::pair("local", "file"), std::pair("threads", "memory")}) {
    const Result there = predict({"--data", "rows.libsvm", "--proba", "--to", "there", "--workers",
                                  "7", "--platform", platform, "--channel", channel, "--json"});
    ASSERT_EQ(there.exit_code, 0) << there.err;
    EXPECT_EQ(joined("there", 7, true), read(folder() / "here.csv"));
    const nlohmann::json all = there.json();
    for (const auto& [key, value] : whole.items()) EXPECT_EQ(all[key], value) << key;
    EXPECT_EQ(all["parts"], 7);
    const nlohmann::json done = nlohmann::json::parse(read(folder() / "there/predictions.json"));
    EXPECT_EQ(done["confusion"], all["confusion"]);
    fs::remove_all(folder() / "there");
  }
}

TEST_F(Predictions, FunctionsPredictThePartsOfAPreparedSetInPlace) {
  ASSERT_EQ(lambdaml({"data", "split", "rows.libsvm", "--workers", "5", "--to", "set"}).exit_code,
            0);
  // Beside the data; more parts than workers.
  const Result there = predict({"--data", "set", "--to", "set", "--workers", "2", "--json"});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  for (int i = 0; i < 5; ++i) {
    const std::string part = fmt::format("{}_5", i);
    const Result here = predict({"--data", "set/" + part, "-q"});
    EXPECT_EQ(read(folder() / "set" / (part + ".csv")), here.out) << part;
  }
  const nlohmann::json all = there.json();
  const nlohmann::json whole = predict({"--data", "set", "--out", "labels", "--json"}).json();
  for (const auto& [key, value] : whole.items()) EXPECT_EQ(all[key], value) << key;
  EXPECT_EQ(all["workers"], 2);
}

TEST_F(Predictions, JobsThatCannotBeAreRefusedBeforeAnythingIsWritten) {
  expect_refused({"--data", "rows.libsvm", "--workers", "3"}, "--workers is for predictions by");
  write("other.libsvm", "1 1:1\n5 1:2\n7 2:1\n");
  const Result unknown = predict({"--data", "other.libsvm", "--to", "there", "--workers", "2"});
  EXPECT_EQ(unknown.exit_code, 2) << unknown.err;
  EXPECT_NE(unknown.err.find("labels that the model does not know"), std::string::npos)
      << unknown.err;
  EXPECT_FALSE(fs::exists(folder() / "there/predictions.json"));
  train({"--data", "rows.libsvm", "--model", "svm", "--workers", "1", "--epochs", "2", "--output",
         "svm"});
  expect_refused({"--model", "svm", "--data", "rows.libsvm", "--proba", "--to", "never"},
                 "gives no probabilities");
  EXPECT_FALSE(fs::exists(folder() / "never"));
}

TEST_F(Predictions, AWorkerThatDiesIsReplaced) {
  // Its first attempts die right after they have saved a result.
  const fs::path lives = folder() / "lives";
  fs::create_directory(lives);
  for (const char* name : {"first", "second"}) std::ofstream(lives / name).put('1');
  const fs::path program =
      write("worker", fmt::format("#!/bin/sh\nASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD={} "
                                  "LAMBDAML_DIE_AT=3+ LAMBDAML_DIE_FOLDER={} "
                                  "exec {}/lambdaml-worker \"$@\"\n",
                                  LAMBDAML_DIE_AT_SAVE, lives.string(), LAMBDAML_BIN_DIR));
  fs::permissions(program, fs::perms::owner_all);
  const Result there =
      predict({"--data", "rows.libsvm", "--to", "there", "--workers", "3", "--json"},
              {"LAMBDAML_WORKER=" + program.string()});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  EXPECT_TRUE(fs::is_empty(lives)) << "nobody died: the test looks at nothing";
  EXPECT_NE(there.err.find("is repeated"), std::string::npos) << there.err;
  EXPECT_EQ(there.json()["rows"], 300);
  EXPECT_EQ(joined("there", 3, false), predict({"--data", "rows.libsvm", "-q"}).out);
}

TEST_F(Predictions, ColumnsAndLabelsAreFoundByTheirNames) {
  std::string table = "width,height,kind\n", turned = "kind,height,width\n", numbers = "x,target\n";
  for (int i = 0; i < 120; ++i) {
    const std::string kind = i % 3 == 0 ? "oak" : "\"fir, old\"";
    const double width = (i * 37 % 101) / 50.0 + (i % 3 == 0 ? 3 : 0),
                 height = (i * 53 % 97) / 48.0;
    table += fmt::format("{},{},{}\n", width, height, kind);
    turned += fmt::format("{},{},{}\n", kind, height, width);
    numbers += fmt::format("{},{}\n", width, 2 * width + 0.5);
  }
  write("table.csv", table);
  write("turned.csv", turned);
  write("numbers.csv", numbers);
  train({"--data", "table.csv", "--label", "kind", "--workers", "2", "--output", "trees"});
  const std::vector<std::string> asked{"--model", "trees", "--label", "kind", "--proba", "--data"};
  const auto ask = [&](const std::string& data, std::vector<std::string> more) {
    std::vector<std::string> arguments = asked;
    arguments.push_back(data);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return predict(arguments);
  };
  const Result here = ask("table.csv", {"-q"});
  ASSERT_EQ(here.exit_code, 0) << here.err;
  EXPECT_TRUE(here.out.starts_with("label,\"p_fir, old\",p_oak\noak,")) << here.out.substr(0, 60);
  EXPECT_EQ(ask("turned.csv", {"-q"}).out, here.out);
  const Result there = ask("turned.csv", {"--to", "there", "--workers", "3", "--json"});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  EXPECT_EQ(joined("there", 3, true), here.out);
  EXPECT_EQ(there.json()["classes"], (nlohmann::json{"fir, old", "oak"}));
  const nlohmann::json shown = lambdaml({"model", "trees", "--json"}).json();
  EXPECT_EQ(shown["features"], (nlohmann::json{"width", "height"}));

  train({"--data", "numbers.csv", "--model", "linear", "--l2", "0", "--workers", "2", "--output",
         "line"});
  const Result values = predict(
      {"--model", "line", "--data", "numbers.csv", "--to", "values", "--workers", "2", "--json"});
  ASSERT_EQ(values.exit_code, 0) << values.err;
  EXPECT_NEAR(values.json()["r2"], 1, 1e-4);
  EXPECT_EQ(joined("values", 2, false),
            predict({"--model", "line", "--data", "numbers.csv", "-q"}).out);
}

/// Predictions by functions of a Lambda service of this machine.
class PredictingFunctions : public Lambda {
 protected:
  PredictingFunctions() : Lambda({"--retry-delay-s", "0.05"}) {}
  void SetUp() override {
    Lambda::SetUp();
    write("rows.libsvm", three_classes(300));
    train({"--data", "rows.libsvm", "--workers", "1", "--epochs", "5", "--output", "run"});
  }
  std::string run() const { return (folder() / "run").string(); }
};

TEST_F(PredictingFunctions, PredictAsTheCommandDoes) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  const Result here =
      lambdaml({"predict", "--model", "run", "--data", "rows.libsvm", "--out", "here", "--json"});
  const Result there =
      with_keys({"predict", "--model", run(), "--data", (folder() / "rows.libsvm").string(), "--to",
                 (folder() / "there").string(), "--workers", "3", "--platform", "aws", "--function",
                 "lambdaml-worker", "--channel", channel(), "--json", "-q"});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  std::string all;
  for (int i = 0; i < 3; ++i) all += read(folder() / "there" / fmt::format("{}_3.csv", i));
  EXPECT_EQ(all, read(folder() / "here"));
  const nlohmann::json measures = there.json();
  const nlohmann::json whole = here.json();
  for (const auto& [key, value] : whole.items()) EXPECT_EQ(measures[key], value) << key;

  write("other.libsvm", "1 1:1\n5 1:2\n7 2:1\n");
  const Result refused =
      with_keys({"predict", "--model", run(), "--data", (folder() / "other.libsvm").string(),
                 "--to", (folder() / "none").string(), "--workers", "3", "--platform", "aws",
                 "--function", "lambdaml-worker", "--channel", channel(), "-q"});
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("labels that the model does not know"), std::string::npos)
      << refused.err;
}

TEST_F(PredictingFunctions, AnswerRowsGivenAsJson) {
  const Result none = with_keys({"deploy", "--zip", LAMBDAML_TEST_ZIP, "--role",
                                 "arn:aws:iam::123456789012:role/test", "--handler", "predict"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("give --model URI"), std::string::npos) << none.err;

  deploy("answers", {"--handler", "predict", "--model", run(), "--timeout-s", "60"});
  const auto ask = [&](const std::string& payload) {
    return with_keys({"invoke", "answers", "--payload", payload});
  };
  const Result done = ask(R"({"rows": [[0.5, -2, 0, 0.25], {"1": 0.5, "2": -2, "4": 0.25}]})");
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const nlohmann::json answer = done.json();
  EXPECT_EQ(answer["classes"], (nlohmann::json{-5, 0, 5}));
  EXPECT_EQ(answer["labels"][0], answer["labels"][1]);
  write("one.libsvm", "0 1:0.5 2:-2 4:0.25\n");
  const Result here = lambdaml({"predict", "--model", "run", "--data", "one.libsvm", "--scores",
                                "--proba", "--out-format", "jsonl", "-q"});
  const nlohmann::json row = nlohmann::json::parse(here.out);
  EXPECT_EQ(answer["labels"][0], row["label"]);
  for (int c = 0; c < 3; ++c) {
    const std::string label = std::to_string(c * 5 - 5);
    // Rows in another form are summed in another order.
    EXPECT_FLOAT_EQ(answer["scores"][0][c].get<float>(), row["score"][label].get<float>());
    EXPECT_NEAR(answer["probabilities"][1][c], row["p"][label], 1e-6);
  }
  // The model was read once, at the first event.
  ASSERT_EQ(ask(R"({"rows": []})").exit_code, 0);
  const std::string log = emulator_log(), words = "predicting with";
  EXPECT_NE(log.find(words), std::string::npos);
  EXPECT_EQ(log.find(words), log.rfind(words)) << log;

  for (const auto& [payload, why] : std::vector<std::pair<std::string, std::string>>{
           {R"({"rows": [[1, 2]]})", "rows[0] has 2 values and the model has 4 features"},
           {R"({"rows": [{"1": 1}, {"9": 1}]})", "rows[1]: the model has no feature '9'"},
           {R"({"rows": [{"2": "x"}]})", "rows[0][2] must be a number"},
           {R"({"row": []})", "did you mean 'rows'?"},
           {R"({})", "the member 'rows' is missing"},
           {R"([1])", "not a JSON object"}}) {
    const Result wrong = ask(payload);
    EXPECT_EQ(wrong.exit_code, 1) << payload;
    EXPECT_NE(wrong.err.find(why), std::string::npos) << wrong.err;
    EXPECT_EQ(std::count(wrong.err.begin(), wrong.err.end(), '\n'), 1) << wrong.err;
  }
}

/// Where a worker's saves are that predicts two parts: its start, its claim, two results, their
/// quality, its report.
class PredictingWorkersThatDie : public PredictingFunctions,
                                 public testing::WithParamInterface<std::string> {};

TEST_P(PredictingWorkersThatDie, AreTriedAgainToTheSameResult) {
  const fs::path lives = folder() / "lives";
  fs::create_directory(lives);
  for (const char* name : {"first", "second"}) std::ofstream(lives / name).put('1');
  deploy("mortal",
         {"--timeout-s", "60", "--env", "LD_PRELOAD=" LAMBDAML_DIE_AT_SAVE, "--env",
          "LAMBDAML_DIE_AT=" + GetParam(), "--env", "LAMBDAML_DIE_FOLDER=" + lives.string()});
  const std::string set = (folder() / "set").string();
  ASSERT_EQ(lambdaml({"data", "split", "rows.libsvm", "--workers", "4", "--to", set}).exit_code, 0);
  const Result there =
      with_keys({"predict", "--model", run(), "--data", set, "--to", set, "--workers", "2",
                 "--platform", "aws", "--function", "mortal", "--channel", channel(), "--json"});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  EXPECT_TRUE(fs::is_empty(lives)) << "nobody died: the test looks at nothing";
  EXPECT_EQ(there.json()["rows"], 300);
  for (int i = 0; i < 4; ++i) {
    const std::string part = fmt::format("set/{}_4", i);
    EXPECT_EQ(read(folder() / (part + ".csv")),
              lambdaml({"predict", "--model", "run", "--data", part, "-q"}).out);
  }
}

INSTANTIATE_TEST_SUITE_P(AtEachSave, PredictingWorkersThatDie,
                         testing::Values("1+", "2-", "3-", "3+", "4+", "5-", "5+", "6-", "6+"));

}  // namespace
}  // namespace lambdaml::e2e
