#include "lambdaml/train/until.h"

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::train {
namespace {

TEST(Until, ComparesTheNamedMetric) {
  const std::map<std::string, double> metrics{{"valid_loss", 0.66}, {"valid_accuracy", 0.9}};
  EXPECT_TRUE(Until::parse("valid_loss<=0.66").holds(metrics));
  EXPECT_FALSE(Until::parse("valid_loss<0.66").holds(metrics));
  EXPECT_TRUE(Until::parse(" valid_accuracy >= 9e-1").holds(metrics));
  EXPECT_FALSE(Until::parse("valid_accuracy>0.9").holds(metrics));
  EXPECT_FALSE(Until::parse("inertia<=1e9").holds(metrics)) << "a metric that is not there";
}

TEST(Until, RefusesWhatIsNoCondition) {
  for (const char* bad : {"", "valid_loss", "valid_loss=0.5", "valid_loss<>1", "<=1",
                          "valid_loss<=x", "valid_loss<=nan", "loss<=1"})
    EXPECT_THROW(Until::parse(bad), Error) << bad;
}

}  // namespace
}  // namespace lambdaml::train
