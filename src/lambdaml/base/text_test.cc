#include "lambdaml/base/text.h"

#include <cmath>

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
  EXPECT_THAT(nearest("--num-workers", {"--workers", "--epochs"}), ElementsAre("--workers"));
  EXPECT_THAT(nearest("size", {"batch_size", "resize"}), ElementsAre("batch_size"));
  EXPECT_EQ(did_you_mean("adm", kNames), ", did you mean 'admm'?");
  // Other things that exist elsewhere, not slips.
  EXPECT_THAT(nearest("adam", kNames), IsEmpty());
  EXPECT_THAT(nearest("k8s", {"local", "threads", "aws"}), IsEmpty());
  EXPECT_THAT(nearest("mlp", {"lr", "svm", "kmeans"}), IsEmpty());
  // What other programs call it.
  EXPECT_THAT(nearest("sync", {"reduce", "reduce_scatter", "async"}), ElementsAre("reduce"));
  EXPECT_THAT(nearest("--max-epochs", {"--run-epochs", "--epochs"}), ElementsAre("--epochs"));
  EXPECT_THAT(nearest("--solver", {"--admm-solver", "--optim", "--optimizer"}),
              ElementsAre("--optim", "--optimizer"));
  EXPECT_THAT(nearest("random_state", {"seed", "epochs"}), ElementsAre("seed"));
  EXPECT_THAT(nearest("--validation-split", {"--valid-ratio"}), ElementsAre("--valid-ratio"));
  EXPECT_THAT(nearest("step-size", {"--lr", "--batch-size"}), ElementsAre("--lr"));
  EXPECT_THAT(nearest("logistic_regression", {"svm", "lr"}), ElementsAre("lr"));
  EXPECT_THAT(nearest("max_iter", {"lr"}), IsEmpty()) << "it is not there";
  // Two flags are not alike because both have dashes.
  EXPECT_THAT(nearest("--k", {"--keep", "--epochs"}), IsEmpty());
  EXPECT_THAT(nearest("--epoch", {"--keep", "--epochs"}), ElementsAre("--epochs"));
  EXPECT_EQ(did_you_mean("zzzzzz", kNames),
            "; known: grad_avg, model_avg, admm, em, reduce, reduce_scatter");
}

TEST(Text, SecondsThatAreNoNumberAreUnknown) {
  EXPECT_EQ(human_seconds(90), "1 min 30 s");
  EXPECT_EQ(human_seconds(std::nan("")), "an unknown time");
  EXPECT_EQ(human_seconds(1e300), "an unknown time");
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

TEST(Text, PrintableLeavesWritingsOfAllKindsAndNothingThatDeceives) {
  const std::string kept = "Grüße, 模型, نموذج, 🙂 ≤";
  EXPECT_EQ(printable(kept), kept);
  for (const auto& [text, escaped] : std::vector<std::pair<std::string, std::string>>{
           {"\x7f", "\\x7f"},
           {"\xc2\x9b[31m", "\\xc2\\x9b[31m"},            // C1: control sequence introducer
           {"a\xe2\x80\xae", "a\\xe2\\x80\\xae"},         // right-to-left override
           {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},           // left-to-right isolate
           {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},           // line separator
           {"\xf3\xa0\x81\xa1", "\\xf3\\xa0\\x81\\xa1"},  // tag
           {"\xc0\x8a", "\\xc0\\x8a"},                    // overlong line end
           {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // half of a pair
           {"\xe2\x80", "\\xe2\\x80"},                    // cut
           {std::string("\0", 1), "\\x00"}}) {
    EXPECT_EQ(printable(text), escaped);
    EXPECT_EQ(printable_text(text), escaped);
  }
  EXPECT_EQ(printable("a\tb\nc"), "a\\x09b\\x0ac");
  EXPECT_EQ(printable_text("a\tb\nc\r"), "a\tb\nc\\x0d");
}

TEST(Text, PrintableJsonHasTheSameValue) {
  EXPECT_EQ(printable_json("{\"a\":\"\xc2\x9b \x7f \xe2\x80\xae \xf3\xa0\x81\xa1 ü\"}\r\n"),
            R"({"a":"\u009b \u007f \u202e \udb40\udc61 ü"}  )");
  EXPECT_EQ(printable_json("\xff"), "\\ufffd");
}

}  // namespace
}  // namespace lambdaml
