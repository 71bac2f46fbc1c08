#include "lambdaml/data/dataset.h"

#include <gtest/gtest.h>

#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using test::parse_text;
using test::to_labels;
using test::to_rows;
using Rows = std::vector<std::vector<float>>;
using Labels = std::vector<std::int32_t>;

const char* const kText = "3 1:1 3:2\n-1 2:3\n0\n3 1:4 2:5 3:6\n7 3:7\n";
const Rows kRows = {{1, 0, 2}, {0, 3, 0}, {0, 0, 0}, {4, 5, 6}, {0, 0, 7}};

TEST(Dataset, SliceKeepsRowsAndLabels) {
  for (const Form form : {Form::dense, Form::sparse}) {
    const Dataset part = parse_text(kText, form).slice(1, 4);
    EXPECT_EQ(to_rows(part), (Rows{kRows[1], kRows[2], kRows[3]}));
    EXPECT_EQ(to_labels(part), (Labels{-1, 0, 3}));
    EXPECT_EQ(part.slice(1, 1).rows(), 0U);
  }
  const Dataset unlabelled = parse_text("1:1\n1:2\n").slice(1, 2);
  EXPECT_FALSE(unlabelled.labelled());
}

TEST(Dataset, DistinctLabelsAscend) {
  EXPECT_EQ(distinct_labels(parse_text(kText).labels), (Labels{-1, 0, 3, 7}));
  EXPECT_EQ(distinct_labels({}), Labels{});
  Labels many;
  for (std::int32_t i = 0; i < 5000; ++i) many.push_back(i * 7919 % 2500 - 1000);
  Labels expected(2500);
  for (std::int32_t i = 0; i < 2500; ++i) expected[static_cast<std::size_t>(i)] = i - 1000;
  EXPECT_EQ(distinct_labels(many), expected);
}

TEST(WithCols, AddsZerosAndDropsFeatures) {
  for (const Form form : {Form::dense, Form::sparse}) {
    const Dataset data = parse_text(kText, form);
    EXPECT_EQ(to_rows(with_cols(data, 4))[3], (std::vector<float>{4, 5, 6, 0}));
    const Dataset two = with_cols(data, 2);
    EXPECT_EQ(two.cols(), 2U);
    EXPECT_EQ(to_rows(two), (Rows{{1, 0}, {0, 3}, {0, 0}, {4, 5}, {0, 0}}));
    EXPECT_EQ(to_labels(two), to_labels(data));
    EXPECT_EQ(to_rows(with_cols(data.slice(3, 5), 2)), (Rows{{4, 5}, {0, 0}}));
    EXPECT_EQ(with_cols(data, 0).rows(), 5U);
    EXPECT_EQ(with_cols(data, 3).owner, data.owner);
  }
  const Dataset sparse = parse_text(kText, Form::sparse);
  EXPECT_EQ(with_cols(sparse, 1000).owner, sparse.owner);
}

TEST(WithCols, IndicesBecomeNarrowWhenTheyCan) {
  const Dataset wide = parse_text("1 5:1 70000:2\n0 65536:3\n");
  ASSERT_TRUE(std::holds_alternative<tensor::Csr32>(wide.features));
  const Dataset narrow = with_cols(wide, 65536);
  ASSERT_TRUE(std::holds_alternative<tensor::Csr16>(narrow.features));
  const auto& csr = std::get<tensor::Csr16>(narrow.features);
  EXPECT_EQ(csr.nonzeros(), 2U);
  EXPECT_EQ(csr.indices[1], 65535);
  EXPECT_EQ(csr.values[1], 3.0F);
  EXPECT_TRUE(std::holds_alternative<tensor::Csr32>(with_cols(wide, 65537).features));
}

TEST(InForm, GivesTheSameRows) {
  const Dataset dense = parse_text(kText, Form::dense);
  const Dataset sparse = in_form(dense, Form::sparse);
  ASSERT_TRUE(std::holds_alternative<tensor::Csr16>(sparse.features));
  EXPECT_EQ(tensor::stored_values(sparse.features), 7U);
  EXPECT_EQ(to_rows(sparse), kRows);
  EXPECT_EQ(to_labels(sparse), to_labels(dense));
  EXPECT_TRUE(test::same(in_form(sparse, Form::dense), dense));
  EXPECT_TRUE(test::same(in_form(sparse.slice(1, 4), Form::dense), dense.slice(1, 4)));
  EXPECT_EQ(in_form(dense, Form::automatic).owner, dense.owner);
  EXPECT_FALSE(tensor::is_sparse(in_form(sparse, Form::automatic).features));  // 3 features
  const Dataset thin = parse_text("1 40:1\n");
  EXPECT_EQ(in_form(thin, Form::automatic).owner, thin.owner);
}

TEST(Rows, PartsAreTheRowsModuloN) {
  for (const Form form : {Form::dense, Form::sparse})
    for (std::size_t n = 1; n <= 7; ++n) {
      const Dataset data = parse_text(kText, form);
      for (std::size_t i = 0; i < n; ++i) {
        const Dataset part = take_part(data, i, n);
        Rows rows;
        Labels labels;
        for (std::size_t r = i; r < 5; r += n) {
          rows.push_back(kRows[r]);
          labels.push_back(data.labels[r]);
        }
        EXPECT_EQ(to_rows(part), rows);
        EXPECT_EQ(to_labels(part), labels);
        EXPECT_EQ(part.cols(), 3U);
      }
    }
  EXPECT_EQ(to_rows(take_part(parse_text(kText, Form::sparse).slice(1, 5), 1, 2)),
            (Rows{kRows[2], kRows[4]}));
}

TEST(Rows, InAnyOrder) {
  const std::vector<std::uint32_t> order = {4, 0, 3, 3};
  for (const Form form : {Form::dense, Form::sparse}) {
    const Dataset data = take_rows(parse_text(kText, form), order);
    EXPECT_EQ(to_rows(data), (Rows{kRows[4], kRows[0], kRows[3], kRows[3]}));
    EXPECT_EQ(to_labels(data), (Labels{7, 3, 3, 3}));
  }
  const std::vector<std::uint32_t> beyond = {5};
  EXPECT_THROW(take_rows(parse_text(kText), beyond), Error);
}

}  // namespace
}  // namespace lambdaml::data
