#include "lambdaml/predict/predict_function.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"

namespace lambdaml::predict {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

job::TrainedModel model_of(const std::string& name, const model::Shape& shape,
                           const std::vector<float>& parameters) {
  Options options = job::job_options();
  options.parse("clusters", "2", "test");
  const auto model = model::registry().get(name).make(shape, options);
  return job::model_from_bytes(
      std::make_shared<const Buffer>(job::model_to_bytes(name, shape, options, *model, parameters)),
      "model");
}

/// The margin is 2a − b + 0.5.
job::TrainedModel two_features(const std::string& name = "lr") {
  return model_of(name, {2, {-1, 1}}, {2, -1, 0.5F});
}

std::string error_of_event(const std::string& event) {
  job::TrainedModel model = two_features();
  try {
    return "answered " + answer(model, event);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
}

TEST(PredictFunction, AnswersRowsInEveryForm) {
  job::TrainedModel model = two_features();
  const json expected{
      {"labels", {1, -1}}, {"scores", {{-1.5, 1.5}, {2.5, -2.5}}}, {"classes", {-1, 1}}};
  for (const char* rows :
       {R"([[1, 1], [0, 3]])", R"([{"1": 1, "2": 1}, {"2": 3}])", R"([[1, 1], {"2": 3}])"}) {
    json out = parse_json(answer(model, std::string(R"({"rows": )") + rows + "}"));
    ASSERT_EQ(out["probabilities"].size(), 2U);
    EXPECT_NEAR(out["probabilities"][0][1], 1 / (1 + std::exp(-1.5)), 1e-6);
    EXPECT_NEAR(out["probabilities"][1][0], 1 / (1 + std::exp(-2.5)), 1e-6);
    out.erase("probabilities");
    EXPECT_EQ(out, expected) << rows;
  }
  EXPECT_EQ(parse_json(answer(model, R"({"rows": []})"))["labels"], json::array());
}

TEST(PredictFunction, AnswersWhatTheModelHas) {
  job::TrainedModel svm = two_features("svm");
  const json margins = parse_json(answer(svm, R"({"rows": [[1, 1]]})"));
  EXPECT_TRUE(margins.at("probabilities").is_null());
  EXPECT_EQ(margins["scores"], (json{{-1.5, 1.5}}));
  job::TrainedModel kmeans = model_of("kmeans", {2, {}}, {0, 0, 4, 4});
  EXPECT_EQ(parse_json(answer(kmeans, R"({"rows": [[1, 0], [4, 2]]})")),
            (json{{"clusters", {0, 1}}, {"distances", {1, 4}}}));
}

TEST(PredictFunction, SaysWhatIsWrongWithAnEvent) {
  EXPECT_THAT(error_of_event("x"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of_event("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of_event("{}"), HasSubstr("'rows' is missing"));
  EXPECT_THAT(error_of_event(R"({"rws": []})"), HasSubstr("did you mean 'rows'"));
  EXPECT_THAT(error_of_event(R"({"rows": 3})"), HasSubstr("must be a list"));
  EXPECT_THAT(error_of_event(R"({"rows": [[1, 1], 3]})"), HasSubstr("rows[1]: a row is a list"));
  EXPECT_THAT(error_of_event(R"({"rows": [[1, 1], [1]]})"),
              HasSubstr("rows[1] has 1 values and the model has 2 features"));
  EXPECT_THAT(error_of_event(R"({"rows": [[1, "1"]]})"), HasSubstr("rows[0][1] must be a number"));
  EXPECT_THAT(error_of_event(R"({"rows": [[1, null]]})"), HasSubstr("rows[0][1] must be a number"));
  EXPECT_THAT(error_of_event(R"({"rows": [[1, 1e39]]})"), HasSubstr("that a float holds"));
  for (const char* name : {"0", "3", "-1", "1.0", "", "x"})
    EXPECT_THAT(error_of_event(std::string(R"({"rows": [{")") + name + "\": 1}]}"),
                HasSubstr("the model has no feature '" + std::string(name) + "'"));
}

}  // namespace
}  // namespace lambdaml::predict
