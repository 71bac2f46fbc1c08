#include "lambdaml/predict/predict.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"

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

double value_of(const Predictions& predictions, const std::string& name) {
  for (const Predictions::Value& value : predictions.values)
    if (value.name == name) return value.value;
  ADD_FAILURE() << "no " << name;
  return 0;
}

TEST(Predict, MeasuresAreThoseWorkedOutByHand) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("lambdaml-predict-" + std::to_string(::getpid()) + ".libsvm");
  // Two of the positives rank above both negatives, one ties with a negative, and one label is new.
  std::ofstream(path) << "1 1:2\n1 1:1\n-1 1:-1\n1 1:-1\n-1 1:-3\n7 1:5\n";
  job::TrainedModel model = identity();
  const Predictions result = predict(model, Uri::parse(path), "auto");
  std::filesystem::remove(path);
  EXPECT_EQ(result.labels, (std::vector<std::int32_t>{1, 1, -1, -1, -1, 1}));
  EXPECT_EQ(result.rows, 6U);
  EXPECT_EQ(result.unknown_labels, 1U);
  EXPECT_DOUBLE_EQ(value_of(result, "accuracy"), 4.0 / 5);
  // Pairs of a positive and a negative: 6; won 2 + 2 + 1, tied 1.
  EXPECT_DOUBLE_EQ(value_of(result, "auc"), 5.5 / 6);
  const auto loss = [](double s) { return std::log1p(std::exp(-s)); };
  EXPECT_NEAR(value_of(result, "log_loss"), (loss(2) + loss(1) + loss(1) + loss(-1) + loss(3)) / 5,
              1e-5);
}

TEST(Predict, RowsAreNotMeasuredByLabelsOfAnotherCoding) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("lambdaml-predict-" + std::to_string(::getpid()) + ".libsvm");
  job::TrainedModel model = identity();  // it knows -1 and 1
  std::ofstream(path) << "1 1:2\n2 1:1\n1 1:-1\n2 1:-1\n";
  const auto warned = [&] {
    testing::internal::CaptureStderr();
    const Predictions result = predict(model, Uri::parse(path), "auto");
    return std::pair(result, testing::internal::GetCapturedStderr());
  };
  const auto [other, said] = warned();
  EXPECT_EQ(other.labels, (std::vector<std::int32_t>{1, 1, -1, -1}));
  EXPECT_EQ(other.unknown_labels, 2U);
  EXPECT_DOUBLE_EQ(value_of(other, "accuracy"), 1.0 / 2);
  EXPECT_NE(said.find("2 of its 4 rows have labels that the model does not know (2; it knows -1, "
                      "1)"),
            std::string::npos)
      << said;

  // Files that only look labelled: every row has some number where a label would be.
  std::ofstream(path) << "0 1:2\n0 1:1\n0 1:-1\n";
  const auto [none, why] = warned();
  EXPECT_EQ(none.labels, (std::vector<std::int32_t>{1, 1, -1}));
  EXPECT_EQ(none.unknown_labels, 3U);
  EXPECT_TRUE(none.values.empty());
  EXPECT_NE(why.find("3 of its 3 rows"), std::string::npos) << why;
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace lambdaml::predict
