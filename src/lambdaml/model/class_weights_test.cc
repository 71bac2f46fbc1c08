#include "lambdaml/model/class_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/testing/testing.h"

namespace lambdaml::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::make_model;
using testing::random_rows;
using testing::Rows;
using testing::shape_of;

std::vector<float> weights(const std::string& text, const Shape& shape,
                           const std::vector<double>& rows = {}) {
  Options options({class_weight_option()});
  options.parse("class_weight", text, "test");
  return class_weights(options, shape, rows);
}

TEST(ClassWeights, BalancedAreThoseOfScikitLearn) {
  // compute_class_weight("balanced", classes=[0, 1, 2], y of 10, 30 and 60)
  EXPECT_THAT(weights("balanced", shape_of(1, 3), {10, 30, 60}),
              ElementsAre(100.0F / 30, 100.0F / 90, 100.0F / 180));
  EXPECT_THAT(weights("balanced", shape_of(1, 2), {0, 5}), ElementsAre(1, 0.5F));
}

TEST(ClassWeights, AreGivenByLabel) {
  Shape shape{1, {-1, 1}};
  EXPECT_THAT(weights("-1=0.5", shape), ElementsAre(0.5F, 1));
  EXPECT_THAT(weights("1=2, -1=3", shape), ElementsAre(3, 2));
  shape = {1, {0, 1}, nullptr, std::make_shared<data::Names>(data::Names{{}, {"a=b", "c"}})};
  EXPECT_THAT(weights("a=b=7", shape), ElementsAre(7, 1));
  const auto error_of = [&](const std::string& text) -> std::string {
    try {
      weights(text, shape);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(error_of("c"), HasSubstr("write balanced"));
  for (const char* weight : {"c=0", "c=-1", "c=x", "c=inf", "c=1e-60", "c="})
    EXPECT_THAT(error_of(weight), HasSubstr("a weight above 0")) << weight;
  EXPECT_THAT(error_of("d=1"), HasSubstr("no label 'd'"));
  EXPECT_THAT(error_of("0=1"), HasSubstr("no label '0'")) << "its label has a text";
  EXPECT_THAT(error_of("c=1,c=1"), HasSubstr("given twice"));
}

TEST(ClassWeights, ARowOfWeightTwoCountsAsTwoRows) {
  for (const std::string model : {"lr", "svm"})
    for (const std::size_t classes : {2U, 3U}) {
      Rows rows = random_rows(90, 7, classes, 4, 0.6);
      Rows twice(150, 7);
      std::vector<float> weight(90);
      std::size_t to = 0;
      for (std::size_t i = 0; i < 90; ++i) {
        weight[i] = i % 3 == 0 ? 1 : 2;
        for (int copy = 0; copy < static_cast<int>(weight[i]); ++copy, ++to) {
          for (std::size_t j = 0; j < 7; ++j) twice.at(to, j) = rows.at(i, j);
          twice.target(to) = rows.target(i);
        }
      }
      const auto made = make_model(model, shape_of(7, classes));
      auto& gradients = dynamic_cast<GradientModel&>(*made);
      std::vector<float> parameters(made->parameter_count());
      for (std::size_t i = 0; i < parameters.size(); ++i)
        parameters[i] = 0.1F * static_cast<float>(i % 5) - 0.2F;
      std::vector<float> expected(parameters.size());
      const Totals of_twice = gradients.accumulate(twice.dense(), parameters, expected);
      const auto smoothness = gradients.smoothness(twice.dense());
      for (auto& [form, batch] : rows.forms()) {
        batch.weights = weight;
        std::vector<float> sums(parameters.size());
        const Totals totals = gradients.accumulate(batch, parameters, sums);
        EXPECT_NEAR(totals.loss, of_twice.loss, 1e-4) << model << classes << form;
        EXPECT_EQ(totals.rows, 90);
        for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(sums[i], expected[i], 2e-4);
        EXPECT_NEAR(made->evaluate(batch, parameters).loss, of_twice.loss, 1e-4);
        // Means over 90 and over 150 rows.
        EXPECT_NEAR(gradients.smoothness(batch)->of_all * 90, smoothness->of_all * 150,
                    0.01 * smoothness->of_all * 150);
        EXPECT_NEAR(gradients.smoothness(batch)->of_row * 90, smoothness->of_row * 150,
                    1e-4 * smoothness->of_row * 150);
        const Batch part = batch.slice(10, 40);
        EXPECT_EQ(part.weights.data(), weight.data() + 10);
        EXPECT_EQ(part.weights.size(), 30U);
      }
    }
}

}  // namespace
}  // namespace lambdaml::model
