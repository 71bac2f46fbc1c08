#include "lambdaml/storage/key_index.h"

#include <gtest/gtest.h>

namespace lambdaml::storage {
namespace {

TEST(KeyIndex, KeysAreFoldersAndNames) {
  using Parts = std::pair<std::string_view, std::string_view>;
  EXPECT_EQ(split_key("a/b/c"), Parts("a/b", "c"));
  EXPECT_EQ(split_key("c"), Parts("", "c"));
  EXPECT_EQ(join_key("a/b", "c"), "a/b/c");
  EXPECT_EQ(join_key("", "c"), "c");
}

}  // namespace
}  // namespace lambdaml::storage
