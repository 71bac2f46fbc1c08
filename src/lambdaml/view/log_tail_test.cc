#include "lambdaml/view/log_tail.h"

#include <gtest/gtest.h>

namespace lambdaml::view {
namespace {

std::string lines(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += "line " + std::to_string(i) + " says something\n";
  return text;
}

TEST(LogTail, GivesEachLineOnceAndWhole) {
  LogTail tail;
  EXPECT_EQ(tail.news("", false).text, "");
  EXPECT_EQ(tail.news("a\nb", false).text, "a\n");
  EXPECT_EQ(tail.news("a\nb", false).text, "");
  EXPECT_EQ(tail.news("a\nbb\nc\n", false).text, "bb\nc\n");
  EXPECT_EQ(tail.news("a\nbb\nc\nd", true).text, "d");
  EXPECT_EQ(tail.news("a\nbb\nc\nd", true).text, "");
}

TEST(LogTail, GoesOnWhereItWasInALogThatLosesItsOldestLines) {
  LogTail tail;
  std::string seen;
  // Windows over a log of 2,000 lines, which overlap.
  for (int end = 100; end <= 2000; end += 100) {
    const std::string log = lines(std::max(0, end - 700), end);
    const LogTail::News news = tail.news(log, false);
    EXPECT_FALSE(news.gap) << end;
    seen += news.text;
  }
  EXPECT_EQ(seen, lines(0, 2000));
  // The log is cut without anything new.
  EXPECT_EQ(tail.news(lines(1900, 2000), false).text, "");
  EXPECT_EQ(tail.news(lines(1900, 2010), false).text, lines(2000, 2010));
  // Of what was shown only the last lines are left.
  EXPECT_EQ(tail.news(lines(2008, 2300), false).text, lines(2010, 2300));
}

TEST(LogTail, SaysWhenLinesAreLost) {
  LogTail tail;
  tail.news(lines(0, 100), false);
  const std::string log = lines(200, 300);
  const LogTail::News news = tail.news(log, false);
  EXPECT_TRUE(news.gap);
  EXPECT_EQ(news.text, lines(200, 300));
  EXPECT_FALSE(tail.news(lines(200, 310), false).gap);
}

}  // namespace
}  // namespace lambdaml::view
