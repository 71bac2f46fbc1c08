#include "lambdaml/tune/jobs_of_segment.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lambdaml::tune {
namespace {

using nlohmann::json;

TEST(JobsOfSegment, ASummaryOfNoMoreEpochsIsOfAnEarlierSegmentOfTheTrial) {
  const std::vector<Segment> segments{
      {.trial = 0, .epochs = 3, .state = Segment::State::done, .epoch = 3, .value = 0.5},
      {.trial = 1, .epochs = 3, .state = Segment::State::done, .epoch = 3, .value = 0.5},
      {.trial = 0, .epochs = 9},
      {.trial = 2, .epochs = 9}};
  const json of_first{{"epochs", 3}}, of_second{{"epochs", 4}, {"ended_by", "converged"}};
  EXPECT_TRUE(is_of_earlier_segment(of_first, segments, segments[2]));
  EXPECT_FALSE(is_of_earlier_segment(of_second, segments, segments[2]));
  EXPECT_FALSE(is_of_earlier_segment(of_first, segments, segments[3])) << "its trial has no other";
  EXPECT_FALSE(is_of_earlier_segment(json::object(), segments, segments[2]));
}

}  // namespace
}  // namespace lambdaml::tune
