#include "lambdaml/data/column_notices.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace lambdaml::data {
namespace {

TEST(ConstantColumns, AreNamedInOneLine) {
  const Names names{.features = {"age", "size"}, .labels = {}};
  EXPECT_EQ(column_text(&names, 1), "'size'");
  EXPECT_EQ(column_text(nullptr, 1), "feature 2");
  EXPECT_EQ(notice_of_constants("FILE", 1000, {}), std::nullopt);
  EXPECT_EQ(notice_of_constants("FILE", 9, {"'age'"}), std::nullopt);
  EXPECT_EQ(notice_of_constants("FILE", 1000, {"'age'"}),
            "FILE: a column has the same value in all 1,000 rows, so nothing is learned from it: "
            "'age'; remove it, or check how the data were made");
  EXPECT_EQ(notice_of_constants("FILE", 10, {"a", "b", "c", "d", "e", "f", "g"}),
            "FILE: columns have the same value in all 10 rows, so nothing is learned from them: a, "
            "b, c, d, e and 2 more; remove them, or check how the data were made");
}

TEST(TextColumns, ThoseWhoseTextsDifferFromRowToRowAreTold) {
  Names names;
  names.features = {"age"};
  for (int i = 0; i < 30; ++i) names.features.push_back(fmt::format("id=a{}", i));
  for (int i = 0; i < 19; ++i) names.features.push_back(fmt::format("city={}", i));
  EXPECT_EQ(notice_of_texts("FILE", 59, &names),
            "FILE: texts that hardly occur twice in 59 rows are a feature each, from which little "
            "is learned: 'id' (30); remove the column, or write numbers without units");
  EXPECT_EQ(notice_of_texts("FILE", 60, &names), std::nullopt);
  names.features.push_back("city=19");
  EXPECT_EQ(notice_of_texts("FILE", 30, &names),
            "FILE: texts that hardly occur twice in 30 rows are a feature each, from which little "
            "is learned: 'id' (30), 'city' (20); remove these columns, or write numbers without "
            "units");
  EXPECT_EQ(notice_of_texts("FILE", 30, nullptr), std::nullopt);
}

}  // namespace
}  // namespace lambdaml::data
