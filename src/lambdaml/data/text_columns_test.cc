#include "lambdaml/data/text_columns.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace lambdaml::data {
namespace {

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
