#include "lambdaml/data/scaling.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdaml::data {
namespace {

using testing::ElementsAre;

/// (1, −2), (0, 4), (0, 0) in both forms.
const float kDenseValues[] = {1, -2, 0, 4, 0, 0};
const std::uint64_t kRowOffsets[] = {0, 2, 3, 3};
const std::uint16_t kColumnIndices[] = {0, 1, 1};
const float kSparseValues[] = {1, -2, 4};

Dataset dense() { return {tensor::DenseView{kDenseValues, 3, 2}, {}, nullptr}; }
Dataset sparse() {
  return {tensor::Csr16{kRowOffsets, kColumnIndices, kSparseValues, 3, 2}, {}, nullptr};
}

TEST(Scaling, SumsAreTheSameInBothForms) {
  for (const Dataset& rows : {dense(), sparse()}) {
    const ColumnSums sums = column_sums(rows);
    EXPECT_THAT(sums.sums, ElementsAre(1, 2));
    EXPECT_THAT(sums.squares, ElementsAre(1, 20));
    EXPECT_THAT(largest_absolutes(rows), ElementsAre(1, 4));
    EXPECT_FALSE(is_binary(rows));
    // Of a slice, whose offsets do not begin at 0.
    EXPECT_THAT(column_sums(rows.slice(1, 3)).sums, ElementsAre(0, 4));
    EXPECT_TRUE(is_binary(rows.slice(2, 3)));
    EXPECT_THAT(largest_absolutes(rows.slice(2, 2)), ElementsAre(0, 0));
  }
}

TEST(ConstantColumns, AreThoseOfOneValueInAllRows) {
  const std::vector<float> values = {1, 0, 7, 2, 0, 7, 1, 0, 8};
  const Dataset rows{tensor::DenseView{values.data(), 3, 3}, {}, nullptr};
  EXPECT_THAT(constant_columns(rows), ElementsAre(std::pair(1, 0)));
  EXPECT_THAT(constant_columns(rows.slice(0, 2)), ElementsAre(std::pair(1, 0), std::pair(2, 7)));
  EXPECT_THAT(constant_columns(rows.slice(0, 0)), ElementsAre());
  // A column of which a sparse row has no value is not known to be one.
  const Dataset sparse = in_form(rows, Form::sparse);
  EXPECT_THAT(constant_columns(sparse), ElementsAre());
  EXPECT_THAT(constant_columns(sparse.slice(0, 2)), ElementsAre(std::pair(2, 7)));
  EXPECT_THAT(constant_columns(sparse.slice(1, 2)), ElementsAre(std::pair(0, 2), std::pair(2, 7)));
}

TEST(Scaling, ScalesEachColumn) {
  const Dataset rows = scaled(dense(), {{1, 2}, {2, 0.5F}});
  const auto& x = std::get<tensor::DenseView>(rows.features);
  EXPECT_THAT(std::vector<float>(x.data, x.data + 6), ElementsAre(0, -2, -2, 1, -2, -1));
}

TEST(Scaling, SparseRowsStaySparse) {
  const Dataset rows = scaled(sparse().slice(1, 3), {{0, 0}, {2, 0.5F}});
  const auto& x = std::get<tensor::Csr16>(rows.features);
  ASSERT_EQ(x.nonzeros(), 1U);
  EXPECT_EQ(x.values[x.offsets[0]], 2);
  EXPECT_ANY_THROW(scaled(sparse(), {{1, 0}, {1, 1}}));
}

}  // namespace
}  // namespace lambdaml::data
