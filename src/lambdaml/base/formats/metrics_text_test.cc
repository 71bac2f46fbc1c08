#include "lambdaml/base/formats/metrics_text.h"

#include <cmath>

#include <gtest/gtest.h>

namespace lambdaml {
namespace {

MetricsText example() {
  MetricsText page;
  page.gauge("job_epoch", "The epoch.", 3, {{"job", "a"}});
  page.counter("pushes_total", "Pushes.", 12);
  page.gauge("job_epoch", "The epoch.", 0.25, {{"job", "b\"\\\n"}});
  page.summary("wait_seconds", "Waits.", 2, 1'500'000'000);
  return page;
}

TEST(MetricsText, IsWhatPrometheusReads) {
  EXPECT_EQ(example().text(MetricsText::Format::prometheus),
            "# HELP job_epoch The epoch.\n# TYPE job_epoch gauge\n"
            "job_epoch{job=\"a\"} 3\njob_epoch{job=\"b\\\"\\\\\\n\"} 0.25\n"
            "# HELP pushes_total Pushes.\n# TYPE pushes_total counter\npushes_total 12\n"
            "# HELP wait_seconds Waits.\n# TYPE wait_seconds summary\n"
            "wait_seconds_count 2\nwait_seconds_sum 1.5\n");
}

TEST(MetricsText, IsOpenMetricsWhereThatIsAskedFor) {
  EXPECT_EQ(MetricsText::format_for("text/plain"), MetricsText::Format::prometheus);
  const auto format = MetricsText::format_for(
      "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2");
  ASSERT_EQ(format, MetricsText::Format::open_metrics);
  const std::string text = example().text(format);
  EXPECT_NE(text.find("# TYPE pushes counter\npushes_total 12\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("# EOF\n"));
}

TEST(MetricsText, WritesNumbersThatAreNotFinite) {
  MetricsText page;
  page.gauge("loss", "Loss.", std::nan(""), {{"job", "a\xff"}});
  page.gauge("loss", "Loss.", HUGE_VAL);
  EXPECT_EQ(page.text(MetricsText::Format::prometheus),
            "# HELP loss Loss.\n# TYPE loss gauge\nloss{job=\"a\\\\xff\"} NaN\nloss +Inf\n");
}

}  // namespace
}  // namespace lambdaml
