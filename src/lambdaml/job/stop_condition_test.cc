#include "lambdaml/job/stop_condition.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::job {
namespace {

TEST(StopCondition, ComparesTheNamedMetric) {
  const std::map<std::string, double> metrics{{"valid_loss", 0.66}, {"valid_accuracy", 0.9}};
  EXPECT_TRUE(StopCondition::parse("valid_loss<=0.66").holds(metrics));
  EXPECT_FALSE(StopCondition::parse("valid_loss<0.66").holds(metrics));
  EXPECT_TRUE(StopCondition::parse(" valid_accuracy >= 9e-1").holds(metrics));
  EXPECT_FALSE(StopCondition::parse("valid_accuracy>0.9").holds(metrics));
  EXPECT_FALSE(StopCondition::parse("inertia<=1e9").holds(metrics)) << "a metric that is not there";
}

TEST(StopCondition, RefusesWhatIsNoCondition) {
  for (const char* bad : {"", "valid_loss", "valid_loss=0.5", "valid_loss<>1", "<=1",
                          "valid_loss<=x", "valid_loss<=nan", "loss<=1"})
    EXPECT_THROW(StopCondition::parse(bad), Error) << bad;
}

TEST(StopCondition, KnowsWhatEveryModelReportsOfAnEpoch) {
  for (const model::ReportedMetric& reported : model::epoch_metrics())
    EXPECT_EQ(StopCondition::parse(reported.name + ">=0").metric(), reported.name);
}

}  // namespace
}  // namespace lambdaml::job
