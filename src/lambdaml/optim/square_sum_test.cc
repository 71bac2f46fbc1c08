#include "lambdaml/optim/square_sum.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"

namespace lambdaml::optim {
namespace {

double sum_of(std::span<const float> values) {
  SquareSum sum;
  sum.add(values);
  return SquareSum::value(sum.numbers());
}

TEST(SquareSum, OfFewNumbersIsExact) {
  EXPECT_EQ(sum_of({}), 0);
  EXPECT_EQ(sum_of(std::vector<float>{3, -4}), 25);
  // In floats or doubles 1 would be lost beside 2^100.
  EXPECT_EQ(sum_of(std::vector<float>{std::ldexp(1.0F, 50), 1}), std::ldexp(1.0, 100));
  EXPECT_EQ(sum_of(std::vector<float>{std::ldexp(1.0F, -149)}), std::ldexp(1.0, -298));
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(sum_of(std::vector<float>{largest}), static_cast<double>(largest) * largest);
  EXPECT_TRUE(std::isinf(sum_of(std::vector<float>{1, NAN})));
  EXPECT_TRUE(std::isinf(sum_of(std::vector<float>{INFINITY})));
}

TEST(SquareSum, DoesNotDependOnTheCut) {
  Rng rng(5);
  std::vector<float> values(300'001);
  long double expected = 0;
  for (float& value : values) {
    value =
        static_cast<float>(std::ldexp(rng.uniform(-1, 1), static_cast<int>(rng.below(60)) - 30));
    expected += static_cast<long double>(value) * value;
  }
  const double whole = sum_of(values);
  EXPECT_NEAR(whole / static_cast<double>(expected), 1, 1e-15);
  for (const std::size_t parts : {2U, 3U, 7U, 1000U}) {
    std::vector<double> merged(SquareSum::kNumbers);
    for (std::size_t p = 0; p < parts; ++p) {
      const std::size_t begin = values.size() * p / parts, end = values.size() * (p + 1) / parts;
      SquareSum part;
      for (std::size_t at = begin; at < end; at += 1000)
        part.add(std::span(values).subspan(at, std::min<std::size_t>(1000, end - at)));
      const auto numbers = part.numbers();
      for (std::size_t i = 0; i < merged.size(); ++i) merged[i] += numbers[i];
    }
    EXPECT_EQ(SquareSum::value(merged), whole) << parts;
  }
}

}  // namespace
}  // namespace lambdaml::optim
