#include "lambdaml/base/batch_limits.h"

#include <gtest/gtest.h>

namespace lambdaml {
namespace {

TEST(BatchLimits, SayTheSameOfABatchAsOfItsKeys) {
  for (const BatchLimits& limits :
       {BatchLimits(), BatchLimits{.keys = 25}, BatchLimits{.keys = 25, .bytes = 2e6},
        BatchLimits{.keys = 0.5}, BatchLimits{.keys = 1 / 3.0, .bytes = 10}})
    for (std::size_t n = 0; n < 70; ++n)
      for (const double bytes : {0.0, 1.0, 79'999.0, 80'000.0, 409'000.0, 4e6}) {
        BatchRequests batch(limits);
        std::uint64_t requests = 0;
        for (std::size_t i = 0; i < n; ++i) requests += batch.next(bytes);
        EXPECT_EQ(limits.requests(n, bytes), static_cast<double>(requests))
            << limits.keys << ", " << limits.bytes << ", " << n << ", " << bytes;
      }
}

TEST(BatchLimits, EndARequestAtSoManyKeysOrBytes) {
  EXPECT_EQ((BatchLimits{.keys = 25, .bytes = 2e6}.requests(26, 10)), 2);
  EXPECT_EQ((BatchLimits{.keys = 25, .bytes = 2e6}.requests(26, 409'000)), 6) << "of five";
  EXPECT_EQ((BatchLimits{.keys = 0.5}.requests(3, 10)), 6);
}

TEST(PartLimits, CountThePartsOfLargeValues) {
  const PartLimits parts{.whole_bytes = 16, .part_bytes = 8};
  EXPECT_EQ(parts.saves(16), 1);
  EXPECT_EQ(parts.loads(16), 1);
  EXPECT_EQ(parts.saves(17), 3 + 2);
  EXPECT_EQ(parts.loads(17), 2);
  EXPECT_EQ(parts.saves(32), 4 + 2);
  EXPECT_EQ(parts.loads(32), 3);
  EXPECT_EQ(PartLimits().saves(1e15), 1);
  EXPECT_EQ(PartLimits().loads(1e15), 1);
}

}  // namespace
}  // namespace lambdaml
