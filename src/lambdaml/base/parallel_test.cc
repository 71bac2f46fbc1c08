#include "lambdaml/base/parallel.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace lambdaml {
namespace {

TEST(Parallel, EveryIndexOnceForAnyNumberOfThreads) {
  for (const std::size_t threads : {0, 1, 2, 5}) {
    for (const std::size_t n : {0, 1, 3, 1000}) {
      std::vector<std::atomic<int>> seen(n);
      parallel_for(n, threads, [&](std::size_t i) { ++seen[i]; });
      for (const auto& count : seen) EXPECT_EQ(count, 1);
    }
  }
}

TEST(Parallel, ABodysExceptionArrivesAndThePoolLives) {
  EXPECT_THROW(parallel_for(100, 3,
                            [](std::size_t i) {
                              if (i == 42) throw std::runtime_error("42");
                            }),
               std::runtime_error);
  std::atomic<std::size_t> sum{0};
  parallel_for(100, 3, [&](std::size_t i) { sum += i; });
  EXPECT_EQ(sum, 4950U);
}

}  // namespace
}  // namespace lambdaml
