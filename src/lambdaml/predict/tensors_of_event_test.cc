#include "lambdaml/predict/tensors_of_event.h"

#include <cstring>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/testing/testing.h"

namespace lambdaml::predict {
namespace {

using data::Element;
using ::testing::AllOf;
using ::testing::HasSubstr;

model::Shape image_and_age() {
  model::Shape shape;
  shape.inputs = {{"image", Element::uint8, {1, 2, 2}}, {"age", Element::float32, {}}};
  return shape;
}

TEST(TensorsOfEvent, AreNestedLists) {
  const data::Dataset rows =
      tensors_of_event(image_and_age(), parse_json(R"([{"image": [[[0, 9], [7, 255]]], "age": 4},
                                      {"age": -0.5, "image": [[[1, 2], [3, 4]]]}])"));
  ASSERT_EQ(rows.rows(), 2U);
  EXPECT_EQ(rows.tensor_shapes().inputs, image_and_age().inputs);
  const unsigned char pixels[] = {0, 9, 7, 255, 1, 2, 3, 4};
  EXPECT_EQ(std::memcmp(rows.tensors[0].values, pixels, sizeof pixels), 0);
  const float ages[] = {4, -0.5};
  EXPECT_EQ(std::memcmp(rows.tensors[1].values, ages, sizeof ages), 0);
  EXPECT_EQ(tensors_of_event(image_and_age(), parse_json("[]")).rows(), 0U);
  model::Shape tokens;
  tokens.inputs = {{"tokens", Element::int64, {3}}};
  const data::Dataset alone = tensors_of_event(tokens, parse_json("[[1, 2, 9007199254740993]]"));
  std::int64_t last = 0;
  std::memcpy(&last, alone.tensors[0].values + 16, sizeof last);
  EXPECT_EQ(last, 9007199254740993);
}

TEST(TensorsOfEvent, WhatDoesNotFitIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "'rows' must be a list"},
      {R"([[1, 2]])", "rows[0]: a row is an object with image: uint8 [1, 2, 2], age: float32 []"},
      {R"([{"image": [[[0, 0], [0, 0]]]}])", "rows[0] has 1 tensors"},
      {R"([{"image": [[[0, 0], [0, 0]]], "old": 1}])", "the tensor 'age' is missing"},
      {R"([{"image": [[[0, 0], [0]]], "age": 1}])", "rows[0]['image']: it must be lists"},
      {R"([{"image": [[[0, 0], [0, 256]]], "age": 1}])", "such as uint8 holds"},
      {R"([{"image": [[[0, 0], [0, 1.5]]], "age": 1}])", "such as uint8 holds"},
      {R"([{"image": [[[0, 0], [0, 18446744073709551615]]], "age": 1}])", "such as uint8 holds"},
      {R"([{"image": [[[0, 0], [0, 1]]], "age": 1e39}])", "such as float32 holds"},
      {R"([{"image": [[[0, 0], [0, 1]]], "age": "x"}])", "such as float32 holds"}};
  for (const auto& [event, why] : cases)
    EXPECT_THAT(error_of([event = event] { tensors_of_event(image_and_age(), parse_json(event)); }),
                AllOf(HasSubstr("invalid_argument: event: "), HasSubstr(why)))
        << event;
}

}  // namespace
}  // namespace lambdaml::predict
