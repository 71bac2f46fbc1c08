#include "lambdaml/model/row_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::model {
namespace {

TEST(RowBuffer, TakesRowsInAnyOrderInEveryForm) {
  // The last one has indices of 32 bits.
  for (const auto& [text, form] :
       {std::pair("0 1:1 2:2\n1 2:3\n0 3:4\n1\n", data::Form::dense),
        std::pair("0 1:1 2:2\n1 2:3\n0 3:4\n1\n", data::Form::sparse),
        std::pair("0 1:1 2:2\n1 2:3\n0 3:4\n1 90000:5\n", data::Form::sparse)}) {
    const data::Dataset dataset = data::test::parse_text(text, form);
    const std::vector<float> targets = {0, 1, 2, 3};
    RowBuffer buffer;
    for (const std::vector<std::uint32_t>& order :
         {std::vector<std::uint32_t>{3, 0, 2}, {1}, {}, {2, 2, 1, 0, 3, 0}, {0, 1}}) {
      const Batch batch = buffer.take({dataset.features, targets}, order);
      ASSERT_EQ(batch.rows(), order.size());
      const data::Dataset expected = data::take_rows(dataset, order);
      data::Dataset taken = expected;
      taken.features = batch.features;
      EXPECT_TRUE(data::test::same(taken, expected));
      ASSERT_EQ(batch.targets.size(), order.size());
      for (std::size_t r = 0; r < order.size(); ++r) EXPECT_EQ(batch.targets[r], targets[order[r]]);
    }
  }
}

TEST(RowBuffer, TakesRowsOfTensors) {
  const data::Dataset rows = data::test::tensors(6);
  Batch all{rows.features, {}};
  all.tensors = rows.tensors;
  all.target = rows.target_tensor;
  RowBuffer buffer;
  for (const std::vector<std::uint32_t>& order :
       {std::vector<std::uint32_t>{3, 0, 2, 5, 1, 4}, {1}, {}, {2, 2, 1, 0}}) {
    const Batch batch = buffer.take(all, order);
    ASSERT_EQ(batch.rows(), order.size());
    data::Dataset taken{batch.features, {}, nullptr};
    taken.tensors = batch.tensors;
    taken.target_tensor = batch.target;
    EXPECT_TRUE(data::test::same(taken, data::take_rows(rows, order)));
  }
  const Batch last = all.slice(2, 6).slice(3, 4);
  EXPECT_EQ(last.rows(), 1U);
  EXPECT_EQ(last.tensors[0].values, rows.tensors[0].row(5));
  EXPECT_EQ(last.target->values, rows.target_tensor->row(5));
}

TEST(RowBuffer, RowsWithoutTargetsHaveNone) {
  const data::Dataset dataset = data::test::parse_text("0 1:1\n1 1:2\n", data::Form::dense);
  RowBuffer buffer;
  const Batch batch = buffer.take({dataset.features, {}}, std::vector<std::uint32_t>{1, 0});
  EXPECT_TRUE(batch.targets.empty());
  EXPECT_EQ(std::get<tensor::DenseView>(batch.features).row(0)[0], 2);
}

}  // namespace
}  // namespace lambdaml::model
