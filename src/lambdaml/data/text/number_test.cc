#include "lambdaml/data/text/number.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"

namespace lambdaml::data {
namespace {

/// Compares with strtof, bit by bit, and that the whole text was taken; what strtof finds beyond
/// the range must be refused.
::testing::AssertionResult as_strtof(const std::string& number) {
  std::string text = number + "\n";
  text.append(kReadable, '7');  // what lies behind must not matter
  float value = 0;
  const char* const end = read_float(text.data(), value);
  const float expected = std::strtof(number.c_str(), nullptr);
  if (std::isinf(expected))
    return end == nullptr ? ::testing::AssertionSuccess()
                          : ::testing::AssertionFailure() << number << ": taken";
  if (end != text.data() + number.size())
    return ::testing::AssertionFailure() << number << ": not taken whole";
  if (std::bit_cast<std::uint32_t>(value) != std::bit_cast<std::uint32_t>(expected))
    return ::testing::AssertionFailure()
           << number << ": " << fmt::format("{:.9g} instead of {:.9g}", value, expected);
  return ::testing::AssertionSuccess();
}

std::string digits(Rng& rng, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += static_cast<char>('0' + rng.below(10));
  return out;
}

constexpr int kTexts = 60'000;

TEST(ReadFloat, RandomDecimalsOfEveryShape) {
  Rng rng(1);
  for (int i = 0; i < kTexts; ++i) {
    std::string text = rng.below(2) == 0 ? "-" : "";
    if (rng.below(20) == 0) text = "+";
    text += digits(rng, rng.below(2) == 0 ? 1 : 1 + rng.below(22));
    if (rng.below(8) != 0) text += "." + digits(rng, rng.below(26));
    if (rng.below(3) == 0)
      text += fmt::format("{}{}{}", rng.below(2) == 0 ? "e" : "E",
                          rng.below(2) == 0 ? "-" : (rng.below(2) == 0 ? "+" : ""), rng.below(50));
    ASSERT_TRUE(as_strtof(text));
  }
}

TEST(ReadFloat, TextsOfRandomFloats) {
  Rng rng(2);
  for (int i = 0; i < kTexts; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(rng.next()));
    if (!std::isfinite(value)) continue;
    ASSERT_TRUE(as_strtof(fmt::format("{}", value)));
    ASSERT_TRUE(as_strtof(fmt::format("{:.6g}", value)));
    ASSERT_TRUE(as_strtof(fmt::format("{:.18e}", value)));
  }
}

// The hard cases: decimals at and beside the middle of two floats, where rounding first to double
// and then to float goes wrong.
TEST(ReadFloat, MiddlesBetweenFloats) {
  Rng rng(3);
  for (int i = 0; i < kTexts / 3; ++i) {
    const auto bits = static_cast<std::uint32_t>(rng.next()) & 0x7fffffffU;
    const auto low = std::bit_cast<float>(bits);
    const auto high = std::bit_cast<float>(bits + 1);
    if (!std::isfinite(high)) continue;
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    for (const int precision : {9, 15, 16, 17, 18, 19, 25, 60})
      ASSERT_TRUE(as_strtof(fmt::format("{:.{}e}", middle, precision)));
    for (const double beside : {std::nextafter(middle, 0.0), std::nextafter(middle, INFINITY)})
      ASSERT_TRUE(as_strtof(fmt::format("{:.17e}", beside)));
  }
}

TEST(ReadFloat, MiddlesBetweenFloatsWithoutExponent) {
  Rng rng(4);
  for (int i = 0; i < kTexts / 3; ++i) {
    // 25 bits, the last one set, so that the text is the exact middle of two floats.
    const std::uint64_t odd = (std::uint64_t{1} << 24) + 2 * rng.below(1 << 23) + 1;
    ASSERT_TRUE(as_strtof(fmt::format("{}", odd)));
    ASSERT_TRUE(as_strtof(fmt::format("{}.000000000001", odd)));
    ASSERT_TRUE(as_strtof(fmt::format("{}.9999999999", odd - 1)));
    const double small = static_cast<double>(odd) / 67108864.0;
    ASSERT_TRUE(as_strtof(fmt::format("{:.26f}", small)));
    ASSERT_TRUE(as_strtof(fmt::format("{:.18f}", small)));
    ASSERT_TRUE(as_strtof(fmt::format("{:.17f}", small)));
  }
}

TEST(ReadFloat, EdgesOfTheRange) {
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.000000000000000000000000000000",
                           "0e999",
                           "00000000000000000000001",
                           "1e-45",
                           "7e-46",
                           "7.1e-46",
                           "1e-46",
                           "1e-37",
                           "1e-38",
                           "1e37",
                           "1e38",
                           "3.4028235e38",
                           "3.40282346638528859811704183484516925440e38",
                           "3.4028235677973366e38",
                           "1e39",
                           "1e400",
                           "1e-400",
                           "1e99999999999999999999",
                           "1e-99999999999999999999",
                           "9223372036854775807",
                           "9223372036854775808",
                           "9999999999999999999",
                           "18446744073709551616",
                           "0.3",
                           "16777217",
                           "9007199791611905",
                           "1.17549435e-38",
                           "1.1754943e-38",
                           "5.877472e-39",
                           ".5",
                           "5.",
                           "5.e1",
                           "1234567",
                           "12345678",
                           "123456789",
                           "0.12345678",
                           "0.123456789",
                           "0.1234567890123456",
                           "0.12345678901234567",
                           "0.1234567890123456789012345"})
    EXPECT_TRUE(as_strtof(text));
}

TEST(ReadFloat, WhatIsNoNumberIsNotTaken) {
  for (const std::string text :
       {"", "-", "+", ".", "-.", "e5", "nan", "inf", "-inf", "--1", "+-1"}) {
    const std::string padded = text + "\n" + std::string(kReadable, '7');
    float value = 0;
    EXPECT_EQ(read_float(padded.data(), value), nullptr) << text;
  }
}

}  // namespace
}  // namespace lambdaml::data
