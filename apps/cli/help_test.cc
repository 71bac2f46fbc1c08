#include "apps/cli/help.h"

#include <gtest/gtest.h>

namespace lambdaml::cli {
namespace {

TEST(Help, WrapsAtTheWidth) {
  EXPECT_EQ(wrapped("one two three", 80, 4, 4), "one two three");
  EXPECT_EQ(wrapped("one two three", 11, 4, 4), "one two\n    three");
  EXPECT_EQ(wrapped("a considerable word", 8, 2, 2), "a\n  considerable\n  word");
  EXPECT_EQ(wrapped("", 8, 2, 2), "");
}

}  // namespace
}  // namespace lambdaml::cli
