#include "lambdaml/control/leftover.h"

#include <optional>

#include <gtest/gtest.h>

namespace lambdaml::control {
namespace {

TEST(Leftovers, AreThoseThatLive) {
  EXPECT_EQ(leftovers(), "");
  std::optional<Leftover> keys(std::in_place, "keys in a store");
  const Leftover file("half a file");
  EXPECT_EQ(leftovers(), "keys in a store; half a file");
  keys.reset();
  EXPECT_EQ(leftovers(), "half a file");
}

}  // namespace
}  // namespace lambdaml::control
