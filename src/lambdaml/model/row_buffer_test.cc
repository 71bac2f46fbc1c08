#include "lambdaml/model/row_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::model {
namespace {

using ::testing::ElementsAre;

TEST(RowBuffer, TakesRowsInAnyOrderInEveryForm) {
  // The last one has indices of 32 bits.
  for (const auto& [text, form] :
       {std::pair("0 1:1 2:2\n1 2:3\n0 3:4\n1\n", data::Form::dense),
        std::pair("0 1:1 2:2\n1 2:3\n0 3:4\n1\n", data::Form::sparse),
        std::pair("0 1:1 2:2\n1 2:3\n0 3:4\n1 90000:5\n", data::Form::sparse)}) {
    const Rows rows = with_targets(data::test::parse_text(text, form), {0, 1});
    RowBuffer buffer;
    for (const std::vector<std::uint32_t>& order :
         {std::vector<std::uint32_t>{3, 0, 2}, {1}, {}, {2, 2, 1, 0, 3, 0}, {0, 1}}) {
      const Batch batch = buffer.take(rows, order);
      ASSERT_EQ(batch.rows(), order.size());
      const data::Dataset expected = data::take_rows(rows.data, order);
      EXPECT_TRUE(data::test::same({batch.features, expected.labels, nullptr}, expected));
      ASSERT_EQ(batch.targets.size(), order.size());
      for (std::size_t r = 0; r < order.size(); ++r)
        EXPECT_EQ(batch.targets[r], rows.targets[order[r]]);
    }
  }
}

TEST(RowBuffer, RowsWithoutTargetsHaveNone) {
  Rows rows = with_targets(data::test::parse_text("0 1:1\n1 1:2\n", data::Form::dense), {0, 1});
  rows.targets.clear();
  RowBuffer buffer;
  const Batch batch = buffer.take(rows, std::vector<std::uint32_t>{1, 0});
  EXPECT_TRUE(batch.targets.empty());
  EXPECT_THAT(std::get<tensor::DenseView>(batch.features).row(0), ElementsAre(2));
}

}  // namespace
}  // namespace lambdaml::model
