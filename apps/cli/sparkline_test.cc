#include "apps/cli/sparkline.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace lambdaml::cli {
namespace {

TEST(Sparkline, GoesFromTheLowestToTheHighest) {
  const std::vector<double> falling{8, 7, 6, 5, 4, 3, 2, 1};
  EXPECT_EQ(sparkline(falling, 20), "█▇▆▅▄▃▂▁");
  EXPECT_EQ(sparkline(falling, 2), "█▁");
}

TEST(Sparkline, LeavesOutWhatIsNotFinite) {
  EXPECT_EQ(sparkline(std::vector<double>{NAN, 2, INFINITY, 1}, 8), "█▁");
  EXPECT_EQ(sparkline(std::vector<double>{1, NAN}, 8), "");
  EXPECT_EQ(sparkline(std::vector<double>{1, 1, 1}, 8), "▁▁▁");
}

}  // namespace
}  // namespace lambdaml::cli
