#include "lambdaml/data/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/array.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using testing::HasSubstr;

TEST(Tensors, ElementsHaveNamesAndSizes) {
  std::size_t bytes = 0;
  for (const Element element : kElements) {
    EXPECT_EQ(element_from(to_string(element)), element);
    bytes += size_of(element);
  }
  EXPECT_EQ(bytes, 4U + 2 + 8 + 4 + 1);
  EXPECT_EQ(element_from("float64"), std::nullopt);
  const TensorShape image{"image", Element::uint8, {3, 32, 32}};
  EXPECT_EQ(image.row_bytes(), 3072U);
  EXPECT_EQ(image.text(), "image: uint8 [3, 32, 32]");
  EXPECT_EQ((TensorShape{"age", Element::float32, {}}).row_bytes(), 4U);
}

TEST(Tensors, SliceBeginsAtItsFirstRow) {
  const Dataset all = test::tensors(5);
  const Dataset part = all.slice(2, 4);
  EXPECT_EQ(part.rows(), 2U);
  EXPECT_EQ(part.cols(), 0U);
  EXPECT_EQ(part.tensors[0].values, all.tensors[0].row(2));
  EXPECT_EQ(part.tensors[1].values, all.tensors[1].row(2));
  EXPECT_EQ(part.target_tensor->values, all.target_tensor->row(2));
  EXPECT_TRUE(part.labelled());
}

TEST(Tensors, PartsAndRowsInAnyOrder) {
  const Dataset all = test::tensors(7);
  std::vector<Dataset> dealt;
  for (std::size_t i = 0; i < 3; ++i) dealt.push_back(take_part(all, i, 3));
  EXPECT_EQ(dealt[1].rows(), 2U);
  EXPECT_EQ(dealt[1].tensors[0].bytes(1)[0], all.tensors[0].row(1)[0]);
  EXPECT_TRUE(test::same(interleave(dealt), all));
  EXPECT_TRUE(test::same(concatenate({all.slice(0, 3), all.slice(3, 7)}), all));
  const Dataset turned = take_rows(all, std::vector<std::uint32_t>{6, 0, 6});
  EXPECT_TRUE(test::same(turned.slice(0, 1), all.slice(6, 7)));
  EXPECT_TRUE(test::same(turned.slice(1, 2), all.slice(0, 1)));
  EXPECT_TRUE(test::same(turned.slice(2, 3), all.slice(6, 7)));
  EXPECT_FALSE(test::same(turned.slice(0, 1), turned.slice(1, 2)));
  EXPECT_TRUE(test::same(in_form(all, Form::sparse), all));
}

TEST(Tensors, LabelsStayBesideThem) {
  Array<std::int32_t> labels(4);
  for (std::int32_t r = 0; r < 4; ++r) labels[static_cast<std::size_t>(r)] = r % 2;
  std::vector<TensorValues> inputs;
  inputs.push_back({{"x", Element::uint8, {}}, Array<std::byte>(4)});
  std::fill_n(inputs[0].values.data(), 4, std::byte{9});
  const Dataset all = tensor_dataset(4, std::move(inputs), {}, std::move(labels));
  EXPECT_THAT(test::to_labels(take_part(all, 1, 2)), testing::ElementsAre(1, 1));
  EXPECT_THAT(test::to_labels(interleave({take_part(all, 0, 2), take_part(all, 1, 2)})),
              testing::ElementsAre(0, 1, 0, 1));
}

TEST(Tensors, ChecksumIsOfNamesTypesShapesAndValues) {
  const Dataset all = test::tensors(4);
  EXPECT_EQ(checksum_of(all), checksum_of(take_part(all, 0, 1)));
  EXPECT_EQ(checksum_of(all.slice(1, 3)), checksum_of(take_part(all.slice(1, 3), 0, 1)));
  Dataset other = all;
  other.tensors[0].name = "picture";
  EXPECT_NE(checksum_of(other), checksum_of(all));
  other = all;
  std::swap(other.tensors[0].shape[0], other.tensors[0].shape[1]);
  EXPECT_NE(checksum_of(other), checksum_of(all));
  other = all;
  other.target_tensor.reset();
  EXPECT_NE(checksum_of(other), checksum_of(all));
  EXPECT_NE(checksum_of(take_rows(all, std::vector<std::uint32_t>{0, 1, 3, 2})), checksum_of(all));
}

TEST(Tensors, PartsOfOtherShapesAreRefused) {
  Dataset other = test::tensors(2);
  other.tensors[0].shape = {3, 2};
  EXPECT_THAT(error_of([&] {
                concatenate({test::tensors(2), other});
              }),
              HasSubstr("image: uint8 [2, 3] in one, image: uint8 [3, 2] in another"));
  other = test::tensors(2);
  other.target_tensor.reset();
  EXPECT_THAT(error_of([&] {
                concatenate({test::tensors(2), other});
              }),
              HasSubstr("none in another"));
}

}  // namespace
}  // namespace lambdaml::data
