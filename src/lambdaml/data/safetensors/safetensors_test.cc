#include "lambdaml/tensor/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using namespace test;
using testing::HasSubstr;

Dataset parsed_safetensors(const tensor::SafetensorsWriter& writer) {
  const auto bytes = std::make_shared<const Buffer>(writer.serialize());
  EXPECT_TRUE(registry().get("safetensors").recognizes(*bytes));
  EXPECT_FALSE(registry().get("shard").recognizes(*bytes));
  return read_with(registry().get("safetensors"), bytes, {.what = "FILE"}, format_options());
}

TEST(SafetensorsData, TensorsWithOneEntryPerRow) {
  const std::vector<float> image = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<std::uint16_t> halves = {0x3c00, 0x3f80};  // as float16 and as bfloat16
  const std::vector<std::int64_t> labels = {3, 4};
  tensor::SafetensorsWriter writer;
  writer.add<float>("image", {2, 1, 2, 2}, image);
  writer.add<std::int64_t>("labels", {2}, labels);
  writer.add({"half", tensor::Dtype::f16, {2}, std::as_bytes(std::span(halves))});
  writer.add({"brain", tensor::Dtype::bf16, {2}, std::as_bytes(std::span(halves))});
  const Dataset rows = parsed_safetensors(writer);
  EXPECT_EQ(rows.tensor_shapes().text(),
            "image: float32 [1, 2, 2], half: float16 [], brain: float32 []");
  EXPECT_THAT(to_labels(rows), testing::ElementsAre(3, 4));
  float one = 0;
  std::memcpy(&one, rows.tensors[2].row(1), sizeof one);
  EXPECT_EQ(one, 1.0F);
}

TEST(SafetensorsData, OtherFilesAreRefused) {
  const std::vector<float> values = {1, 2, 3};
  tensor::SafetensorsWriter model;
  model.add<float>("weights", {3}, values);
  model.set_metadata("format", "lambdaml-model-2");
  EXPECT_THAT(error_of([&] { parsed_safetensors(model); }),
              HasSubstr("it is a model-2 of this program and no data set"));
  tensor::SafetensorsWriter unequal;
  unequal.add<float>("a", {3}, values);
  unequal.add<float>("b", {1, 3}, values);
  EXPECT_THAT(
      error_of([&] { parsed_safetensors(unequal); }),
      testing::AllOf(HasSubstr("invalid_argument: "), HasSubstr("'a' has 3 rows and 'b' has 1")));
}

}  // namespace
}  // namespace lambdaml::data
