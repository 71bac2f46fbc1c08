#include "lambdaml/tensor/half.h"

#include <cmath>

#include <gtest/gtest.h>

namespace lambdaml::tensor {
namespace {

TEST(Half, HasItsNumbers) {
  EXPECT_EQ(half_to_float(0x3C00), 1.0F);
  EXPECT_EQ(half_to_float(0xC000), -2.0F);
  EXPECT_EQ(half_to_float(0x3555), 0.333251953125F);
  EXPECT_EQ(half_to_float(0x7BFF), 65504.0F);
  EXPECT_EQ(half_to_float(0x0400), 0x1p-14F);
  EXPECT_EQ(half_to_float(0x03FF), 1023 * 0x1p-24F);
  EXPECT_EQ(half_to_float(0x8001), -0x1p-24F);
  EXPECT_EQ(half_to_float(0), 0.0F);
  EXPECT_TRUE(std::signbit(half_to_float(0x8000)));
}

TEST(Half, KeepsWhatIsNotFinite) {
  EXPECT_EQ(half_to_float(0x7C00), INFINITY);
  EXPECT_EQ(half_to_float(0xFC00), -INFINITY);
  EXPECT_TRUE(std::isnan(half_to_float(0x7C01)));
  EXPECT_TRUE(std::isnan(half_to_float(0xFE00)));
}

TEST(Half, HasTheOrderOfItsBits) {
  for (std::uint16_t bits = 0; bits < 0x7C00; ++bits) {
    const auto next = static_cast<std::uint16_t>(bits + 1);
    ASSERT_LT(half_to_float(bits), half_to_float(next)) << bits;
    ASSERT_EQ(half_to_float(static_cast<std::uint16_t>(bits | 0x8000)), -half_to_float(bits));
  }
}

}  // namespace
}  // namespace lambdaml::tensor
