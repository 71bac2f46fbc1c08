#include "lambdaml/predict/predict.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/predict/description.h"
#include "lambdaml/predict/output_format.h"
#include "lambdaml/predict/predict_function.h"

namespace lambdaml::predict {
namespace {

/// z = x, so scores, probabilities and ranks can be worked out by hand.
job::TrainedModel identity() {
  Options options = job::job_options();
  options.parse("threads", "1", "test");
  const model::Shape shape{1, {-1, 1}};
  const auto model = model::registry().get("lr").make(shape, options);
  const std::vector<float> parameters{1, 0};
  return job::model_from_bytes(
      std::make_shared<const Buffer>(job::model_to_bytes("lr", shape, options, *model, parameters)),
      "model");
}

/// A file of rows, removed at the end.
class Predict : public ::testing::Test {
 protected:
  ~Predict() override { std::filesystem::remove(path_); }
  Uri rows(const std::string& text) const {
    std::ofstream(path_) << text;
    return Uri::parse(path_);
  }

 private:
  const std::string path_ = std::filesystem::temp_directory_path() /
                            ("lambdaml-predict-" + std::to_string(::getpid()) + ".libsvm");
};

nlohmann::json json_of(const Predictions& predictions, const job::TrainedModel& model) {
  return json_of(predictions.quality, model::registry().get(model.name), model.shape);
}
std::string csv_of(const Predictions& predictions) {
  return std::string(output_format("csv").write(predictions.table).text());
}

TEST_F(Predict, MeasuresAreThoseWorkedOutByHand) {
  // Two of the positives rank above both negatives, and one ties with a negative.
  const Uri uri = rows("1 1:2\n1 1:1\n-1 1:-1\n1 1:-1\n-1 1:-3\n");
  job::TrainedModel model = identity();
  const Predictions result = predict(model, uri, "auto");
  EXPECT_EQ(csv_of(result), "1\n1\n-1\n-1\n-1\n");
  const nlohmann::json json = json_of(result, model);
  EXPECT_EQ(json["rows"], 5);
  EXPECT_EQ(json["accuracy"], 4.0 / 5);
  // Pairs of a positive and a negative: 6; won 2 + 2 + 1, tied 1.
  EXPECT_EQ(json["auc"], 5.5 / 6);
  const auto loss = [](double s) { return std::log1p(std::exp(-s)); };
  EXPECT_NEAR(json["log_loss"], (loss(2) + loss(1) + loss(1) + loss(-1) + loss(3)) / 5, 1e-6);
  EXPECT_EQ(json["classes"], (nlohmann::json{-1, 1}));
  EXPECT_EQ(json["confusion"], (nlohmann::json{{2, 0}, {1, 2}}));
  EXPECT_EQ(json["precision"], (2.0 / 3 + 1) / 2);
  EXPECT_EQ(json["recall"], (1 + 2.0 / 3) / 2);
  EXPECT_EQ(json["f1"], 0.8);
  EXPECT_EQ(json["per_class"]["1"],
            (nlohmann::json{{"rows", 3}, {"precision", 1.0}, {"recall", 2.0 / 3}, {"f1", 0.8}}));
}

TEST_F(Predict, RowsWithLabelsOfAnotherCodingAreRefused) {
  job::TrainedModel model = identity();  // it knows -1 and 1
  const auto error_for = [&](const std::string& text) {
    try {
      predict(model, rows(text), "auto");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  const std::string some = error_for("1 1:2\n2 1:1\n1 1:-1\n2 1:-1\n");
  EXPECT_NE(some.find("2 of its 4 rows have labels that the model does not know (2; it knows -1, "
                      "1)"),
            std::string::npos)
      << some;
  EXPECT_NE(error_for("0.5 1:2\n1 1:1\n").find("its labels are numbers such as 0.5"),
            std::string::npos);
  // Files that only look labelled: every row has some number where a label would be.
  const Uri dummies = rows("0 1:2\n0 1:1\n0 1:-1\n");
  const std::string all = error_for("0 1:2\n0 1:1\n0 1:-1\n");
  EXPECT_NE(all.find("3 of its 3 rows"), std::string::npos) << all;
  EXPECT_NE(all.find("--ignore-labels"), std::string::npos) << all;
  const Predictions result = predict(model, dummies, "auto", {}, {.ignore_labels = true});
  EXPECT_EQ(csv_of(result), "1\n1\n-1\n");
  EXPECT_EQ(json_of(result, model), (nlohmann::json{{"rows", 3}}));
}

TEST_F(Predict, TheQualityOfPartsAddsUpToThatOfTheWhole) {
  job::TrainedModel model = identity();
  std::string text[2];
  for (int i = 0; i < 101; ++i)
    text[i % 3 == 0 ? 0 : 1] +=
        fmt::format("{} 1:{}\n", i * 7 % 5 < 2 ? 1 : -1, (i * 37 % 50) / 9.0 - 3);
  const Predictions whole = predict(model, rows(text[0] + text[1]), "auto");
  const Quality first = predict(model, rows(text[0]), "auto").quality;
  Quality sum = predict(model, rows(text[1]), "auto").quality;
  sum.add(Quality::from_bytes(first.to_bytes(), "part"));
  const model::Plugin& plugin = model::registry().get("lr");
  EXPECT_EQ(json_of(sum, plugin, model.shape), json_of(whole.quality, plugin, model.shape));

  Quality unlabelled;
  EXPECT_THROW(sum.add(unlabelled), Error);
  const Buffer bytes = first.to_bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(Quality::from_bytes(bytes.view().first(size), "part"), Error) << size;
}

TEST_F(Predict, ScoresAndProbabilitiesStandBesideTheLabels) {
  job::TrainedModel model = identity();
  const Predictions result = predict(model, rows("1 1:0.5\n-1 1:-2\n"), "auto", {},
                                     {.shown = {.class_scores = true, .probabilities = true}});
  EXPECT_EQ(csv_of(result),
            "label,p_-1,p_1,score_-1,score_1\n"
            "1,0.37754068,0.62245935,-0.5,0.5\n"
            "-1,0.8807971,0.11920292,2,-2\n");
  EXPECT_EQ(output_format("jsonl").write(result.table).text(),
            "{\"label\":1,\"p\":{\"-1\":0.37754068,\"1\":0.62245935},"
            "\"score\":{\"-1\":-0.5,\"1\":0.5}}\n"
            "{\"label\":-1,\"p\":{\"-1\":0.8807971,\"1\":0.11920292},"
            "\"score\":{\"-1\":2,\"1\":-2}}\n");
  const Buffer npy = output_format("npy").write(result.table);
  EXPECT_EQ(npy.size() % 64, 2 * 5 * 4);
  EXPECT_NE(npy.text().find("[('label', '<i4'), ('p', '<f4', (2,)), ('score', '<f4', (2,))], "
                            "'fortran_order': False, 'shape': (2,), }"),
            std::string::npos);
  EXPECT_THROW(output_format("cvs"), Error);
}

/// Two features, and labels that are texts.
job::TrainedModel with_names() {
  Options options = job::job_options();
  model::Shape shape{2, {0, 1, 2}};
  shape.names = std::make_shared<const data::Names>(
      data::Names{{"age", "height"}, {"a, b", "no", "yes"}, "bought", {}});
  const auto model = model::registry().get("lr").make(shape, options);
  const std::vector<float> parameters{0, 0, 1, 0, 0, 1, -5, 0, 0};
  return job::model_from_bytes(
      std::make_shared<const Buffer>(job::model_to_bytes("lr", shape, options, *model, parameters)),
      "model");
}

TEST(PredictWithNames, LabelsAreTakenByTheirTexts) {
  job::TrainedModel model = with_names();
  const std::vector<float> values{2, 1, 1, 2};
  const std::vector<std::int32_t> labels{0, 1};
  data::Dataset rows;
  rows.features = tensor::DenseView{values.data(), 2, 2};
  rows.labels = labels;
  // In this set `no` is 0 and `yes` is 1; in the model they are 1 and 2.
  rows.names = std::make_shared<const data::Names>(
      data::Names{{"age", "height"}, {"no", "yes"}, "bought", {}});
  const Predictions result = predict(model, rows, "rows", {.shown = {.class_scores = true}});
  const nlohmann::json json = json_of(result, model);
  EXPECT_EQ(json["accuracy"], 1);
  EXPECT_EQ(json["classes"], (nlohmann::json{"a, b", "no", "yes"}));
  EXPECT_EQ(json["per_class"]["yes"]["rows"], 1);
  EXPECT_EQ(csv_of(result), "label,\"score_a, b\",score_no,score_yes\nno,-5,2,1\nyes,-5,1,2\n");
  EXPECT_TRUE(output_format("jsonl")
                  .write(result.table)
                  .text()
                  .starts_with(R"({"label":"no","score":{"a, b":-5,"no":2,"yes":1}})"));

  const auto error_with = [&](const data::Names& names) {
    rows.names = std::make_shared<const data::Names>(names);
    try {
      predict(model, rows, "rows", {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_NE(error_with({{}, {"maybe", "no"}}).find("does not know its labels 'maybe'"),
            std::string::npos);
  EXPECT_NE(error_with({{}, {}}).find("does not know its labels '0', '1'"), std::string::npos);
  EXPECT_EQ(error_with({{"height", "age"}, {"no", "yes"}}), "nothing thrown");
  EXPECT_EQ(error_with({{"height", "weight"}, {"no", "yes"}}),
            "rows: the column 'age' is missing, which the model learned from");

  // Columns are found by their names.
  rows.names = std::make_shared<const data::Names>(data::Names{{"height", "age"}, {"no", "yes"}});
  const Predictions other = predict(model, rows, "rows", {});
  EXPECT_EQ(csv_of(other), "yes\nno\n");
  EXPECT_EQ(json_of(other, model)["accuracy"], 0);
  // Labels of another model are no labels here.
  rows.names = std::make_shared<const data::Names>(data::Names{{"age", "height"}, {"x", "y"}});
  const Predictions ignored = predict(model, rows, "rows", {.ignore_labels = true});
  EXPECT_EQ(csv_of(ignored), "no\nyes\n");
  EXPECT_EQ(json_of(ignored, model), (nlohmann::json{{"rows", 2}}));
}

TEST(PredictNumbers, TheyAreMeasuredAsNumbers) {
  Options options = job::job_options();
  const model::Shape shape{1, {}};
  const auto made = model::registry().get("linear").make(shape, options);
  job::TrainedModel model =
      job::model_from_bytes(std::make_shared<const Buffer>(job::model_to_bytes(
                                "linear", shape, options, *made, std::vector<float>{2, 0.5F})),
                            "model");
  // The example of scikit-learn's documentation of mean_absolute_error and r2_score.
  const std::vector<float> values{1, -0.25F, 0.75F, 3.75F}, targets{3, -0.5F, 2, 7};
  data::Dataset rows;
  rows.features = tensor::DenseView{values.data(), 4, 1};
  rows.targets = targets;
  const Predictions result = predict(model, rows, "rows", {});
  EXPECT_EQ(csv_of(result), "2.5\n0\n2\n8\n");
  Quality quality = predict(model, rows.slice(0, 1), "rows", {}).quality;
  const Quality rest = predict(model, rows.slice(1, 4), "rows", {}).quality;
  quality.add(Quality::from_bytes(rest.to_bytes(), "part"));
  for (const nlohmann::json& json :
       {nlohmann::json(json_of(result, model)),
        nlohmann::json(json_of(quality, model::registry().get("linear"), shape))}) {
    EXPECT_EQ(json["rows"], 4);
    EXPECT_NEAR(json["mae"], 0.5, 1e-12);
    EXPECT_NEAR(json["rmse"], std::sqrt(0.375), 1e-12);
    EXPECT_NEAR(json["r2"], 0.9486081370449679, 1e-12);
  }
  EXPECT_THROW(predict(model, rows, "rows", {.shown = {.class_scores = true}}), Error);
  EXPECT_EQ(parse_json(answer(model, R"({"rows": [[1], [2]]})")),
            (nlohmann::json{{"values", {2.5, 4.5}}}));
  const nlohmann::json described = describe(model, nullptr);
  EXPECT_EQ(described["coefficients"], (nlohmann::json{{2}}));
  EXPECT_EQ(described["intercept"], (nlohmann::json{0.5}));
  EXPECT_EQ(lines_of(model, nullptr, false).back(), "             0.5  intercept");
}

TEST(PredictWithNames, TheFunctionTakesFeaturesByName) {
  job::TrainedModel model = with_names();
  const nlohmann::json out =
      parse_json(answer(model, R"({"rows": [{"height": 3}, {"1": 1}, {"age": 0}]})"));
  EXPECT_EQ(out["labels"], (nlohmann::json{"yes", "no", "no"}));
  try {
    answer(model, R"({"rows": [{"heigth": 3}]})");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'height'?"), std::string::npos);
  }
}

TEST(PredictWithNames, AModelIsDescribedByThem) {
  const nlohmann::json json = describe(with_names(), nullptr);
  EXPECT_EQ(json["features"], (nlohmann::json{"age", "height"}));
  EXPECT_EQ(json["coefficients"], (nlohmann::json{{0, 0}, {1, 0}, {0, 1}}));
  EXPECT_EQ(json["intercept"], (nlohmann::json{-5, 0, 0}));
  const std::vector<std::string> lines = lines_of(with_names(), nullptr, false);
  EXPECT_EQ(lines.at(0), "lr: 3 classes (a, b, no, yes), 2 features");
}

}  // namespace
}  // namespace lambdaml::predict
