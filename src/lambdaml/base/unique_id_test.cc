#include "lambdaml/base/unique_id.h"

#include <set>

#include <gmock/gmock.h>

#include "lambdaml/base/service/backoff.h"

namespace lambdaml {
namespace {

TEST(UniqueId, HasItsFormAndIsNeverTheSame) {
  std::set<std::string> ids;
  std::set<std::uint64_t> numbers;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = unique_id();
    EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{32}"));
    ids.insert(id);
    numbers.insert(unique_number());
    const std::string uuid = unique_uuid();
    EXPECT_THAT(uuid, testing::MatchesRegex(
                          "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    ids.insert(uuid);
  }
  EXPECT_EQ(ids.size(), 2000U);
  EXPECT_EQ(numbers.size(), 1000U);
}

TEST(Backoff, DoublesUpToTheLongestAndIsJittered) {
  Backoff backoff(0.5, 3);
  std::set<double> pauses;
  for (const int round : {0, 1}) {
    for (const double most : {0.5, 1.0, 2.0, 3.0, 3.0}) {
      const double pause = backoff.next_s();
      EXPECT_GE(pause, most / 2) << round;
      EXPECT_LT(pause, most) << round;
      pauses.insert(pause / most);
    }
    backoff.reset();
  }
  EXPECT_GT(pauses.size(), 5U);
}

}  // namespace
}  // namespace lambdaml
