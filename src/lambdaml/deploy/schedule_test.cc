#include "lambdaml/deploy/schedule.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::deploy {
namespace {

using ::testing::HasSubstr;

std::string refusal_of(const std::string& text) {
  try {
    check_schedule(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "";
}

// The examples of EventBridge's user guide, and each rule of its tables broken.
TEST(Schedules, ThatEventBridgeTakes) {
  for (const char* text :
       {"rate(1 minute)", "rate(5 minutes)", "rate(1 hour)", "rate(7 days)", "cron(0 10 * * ? *)",
        "cron(15 12 * * ? *)", "cron(0 18 ? * MON-FRI *)", "cron(0 8 1 * ? *)",
        "cron(0/15 * * * ? *)", "cron(0/10 * ? * MON-FRI *)", "cron(0/5 8-17 ? * MON-FRI *)",
        "cron(0 9 ? * 2#1 *)", "cron(0 0 L * ? *)", "cron(0 0 LW * ? *)", "cron(0 0 3W * ? 2030)",
        "cron(0 0 ? * FRIL *)", "cron(0,30 1,2 ? JAN,6 SUN,3 2027-2030)", "cron(*/5 * * * ? *)"})
    EXPECT_EQ(refusal_of(text), "") << text;
}

TEST(Schedules, ThatEventBridgeRefuses) {
  for (const char* text : {"",
                           "daily",
                           "cron(0 3 * * ? *",
                           "rate(1 days)",
                           "rate(5 minute)",
                           "rate(0 minutes)",
                           "rate(-1 minutes)",
                           "rate(1.5 hours)",
                           "rate(5 weeks)",
                           "rate(5)",
                           "cron()",
                           "cron(0 3 * * *)",
                           "cron(0 3 * * ? * *)",
                           "cron(0 3 * * * *)",
                           "cron(0 3 ? * ? *)",
                           "cron(60 3 * * ? *)",
                           "cron(0 24 * * ? *)",
                           "cron(0 3 32 * ? *)",
                           "cron(0 3 0 * ? *)",
                           "cron(0 3 * 13 ? *)",
                           "cron(0 3 ? * 8 *)",
                           "cron(0 3 * * ? 1969)",
                           "cron(0 3 * * ? 2200)",
                           "cron(0 3 * FOO ? *)",
                           "cron(5-1 3 * * ? *)",
                           "cron(0/0 3 * * ? *)",
                           "cron(? 3 * * ? *)",
                           "cron(0 3 ? * FRI#6 *)",
                           "cron(0 3 L-3 * ? *)",
                           "cron(+5 3 * * ? *)",
                           "cron(, 3 * * ? *)",
                           "at(2027-01-01T00:00:00)"})
    EXPECT_THAT(refusal_of(text), HasSubstr("--schedule")) << text;
  EXPECT_THAT(refusal_of("rate(1 days)"), HasSubstr("1 is written with day"));
  EXPECT_THAT(refusal_of("cron(0 3 * * * *)"), HasSubstr("must be ?"));
  EXPECT_THAT(refusal_of("cron(0 24 * * ? *)"), HasSubstr("'24' is no hours (from 0 to 23)"));
  EXPECT_THAT(refusal_of("at(2027-01-01T00:00:00)"), HasSubstr("no single times"));
}

}  // namespace
}  // namespace lambdaml::deploy
