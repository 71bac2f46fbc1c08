#include "lambdaml/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdaml {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::vector<std::string> kNames{"grad_avg", "model_avg", "admm",
                                      "em",       "reduce",    "reduce_scatter"};

TEST(Text, NearestRanksByDistanceAndKnowsWhenNothingIsNear) {
  EXPECT_THAT(nearest("grad_avgg", kNames), ElementsAre("grad_avg"));
  EXPECT_THAT(nearest("reduce_scater", kNames), ElementsAre("reduce_scatter", "reduce"));
  EXPECT_THAT(nearest("zzzzzz", kNames), IsEmpty());
  EXPECT_EQ(did_you_mean("adm", kNames), ", did you mean 'admm' or 'em'?");
  EXPECT_EQ(did_you_mean("zzzzzz", kNames),
            "; known: grad_avg, model_avg, admm, em, reduce, reduce_scatter");
}

TEST(Text, NumbersAreWholeTextsOrNothing) {
  EXPECT_EQ(to_integer("+12"), 12);
  EXPECT_EQ(to_integer("-3"), -3);
  for (const char* bad : {"", "+", "1x", " 1", "0x10", "1.5", "99999999999999999999", "+-1"})
    EXPECT_EQ(to_integer(bad), std::nullopt) << bad;
  EXPECT_EQ(to_real("1e-4"), 1e-4);
  for (const char* bad : {"", "nan", "inf", "-inf", "1e999", "1,5", "0x1p3", "."})
    EXPECT_EQ(to_real(bad), std::nullopt) << bad;
}

TEST(Text, ForPeople) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(12'800'000), "12.8 MB");
  EXPECT_EQ(human_seconds(0.000123), "123 µs");
  EXPECT_EQ(human_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(human_seconds(125), "2 min 05 s");
  EXPECT_EQ(human_count(1234567), "1,234,567");
  EXPECT_EQ(human_count(12), "12");
}

TEST(Text, PrintableLeavesNoControlCharacters) {
  EXPECT_EQ(printable("a\n\x1b[31m\xff"), "a\\x0a\\x1b[31m\\xff");
  EXPECT_EQ(printable(std::string(500, 'x'), 10), "xxxxxxxxxx…");
}

}  // namespace
}  // namespace lambdaml
