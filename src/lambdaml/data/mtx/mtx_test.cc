#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using namespace test;
using testing::HasSubstr;
using Rows = std::vector<std::vector<float>>;

Dataset parsed_mtx(std::string_view text, const char* label = "") {
  Options options = format_options();
  options.parse("label", label, "--label");
  return read_with(registry().get("mtx"), shared(text), {.what = "FILE"}, options);
}

TEST(MatrixMarket, Coordinates) {
  const char* const text =
      "%%MatrixMarket matrix coordinate real general\n% a comment\n\n2 3 3\n2 3 -1.5e1\n1 1 4\n\n"
      "1 3 0.5";
  EXPECT_EQ(to_rows(parsed_mtx(text)), (Rows{{4, 0, 0.5}, {0, 0, -15}}));
  EXPECT_FALSE(parsed_mtx(text).labelled());
  const Dataset labelled = parsed_mtx(text, "0");
  EXPECT_EQ(to_rows(labelled), (Rows{{0, 0.5}, {0, -15}}));
  EXPECT_EQ(to_labels(labelled), (std::vector<std::int32_t>{4, 0}));
  EXPECT_EQ(
      to_rows(parsed_mtx("%%MatrixMarket Matrix Coordinate Pattern Symmetric\n2 2 2\n1 1\n2 1\n")),
      (Rows{{1, 1}, {1, 0}}));
  EXPECT_EQ(to_rows(parsed_mtx(
                "%%MatrixMarket matrix coordinate integer skew-symmetric\n2 2 1\n2 1 3\n")),
            (Rows{{0, -3}, {3, 0}}));
}

TEST(MatrixMarket, PiecesInParallelGiveTheSame) {
  // Entries column by column, with empty lines and comments between, so that pieces end anywhere.
  std::string body;
  std::size_t lines = 0;
  for (int c = 1; c <= 40; ++c)
    for (int r = 1; r <= 50; ++r) {
      if ((r * 7 + c * 3) % 5 == 0) continue;
      body += fmt::format("{} {} {}\n", r, c, r + 0.01 * c);
      if (++lines % 13 == 0) body += "\n% a comment\n";
    }
  const auto text_of = [&](std::size_t stated, const std::string& end = "") {
    return fmt::format("%%MatrixMarket matrix coordinate real general\n50 40 {}\n{}{}", stated,
                       body, end);
  };
  const auto read = [&](const std::string& text, std::size_t threads) {
    return read_with(registry().get("mtx"), shared(text), {.what = "FILE", .threads = threads},
                     format_options());
  };
  const Dataset one = read(text_of(lines), 1);
  EXPECT_EQ(to_rows(one)[49][39], (50 * 7 + 40 * 3) % 5 == 0 ? 0 : 50.4F);
  for (const std::size_t threads : {2, 3, 8}) {
    EXPECT_TRUE(same(read(text_of(lines), threads), one));
    // The same errors, at the same lines.
    for (const std::string& bad :
         {text_of(lines + 1), text_of(lines - 1), text_of(lines / 2), text_of(0),
          text_of(lines + 1, "51 1 1\n"), text_of(lines + 2, "1 1 x\n2 y 1\n")})
      EXPECT_EQ(error_of([&] { read(bad, threads); }), error_of([&] { read(bad, 1); }));
  }
}

TEST(MatrixMarket, Arrays) {
  EXPECT_EQ(to_rows(parsed_mtx("%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n")),
            (Rows{{1, 3}, {2, 4}}));
}

TEST(MatrixMarket, WhatIsWrongIsSaid) {
  const std::string head = "%%MatrixMarket matrix coordinate real general\n";
  const std::pair<std::string, const char*> cases[] = {
      {"%%MatrixMarket matrix coordinate complex general\n1 1 1\n",
       "matrices of the kind 'complex' are not read"},
      {"%%MatrixMarket vector coordinate real general\n",
       "the header is not: %%MatrixMarket matrix"},
      {head + "2 2 1\n3 1 1\n",
       "FILE:3: the row is beyond 2; correct it, or the sizes in the header"},
      {head + "2 2 1\n1 3 1\n", "FILE:3: the column is beyond 2"},
      {head + "2 2 1\n0 1 1\n", "FILE:3: rows and columns are counted from 1"},
      {head + "2 2 2\n1 1 1\n1 1 2\n", "row 1, column 1: there are two entries: keep one"},
      {head + "2 2 1\n1 1 nan\n",
       "FILE:3: row 1, column 1: 'nan' is not a finite number: correct it, or leave it out"},
      {head + "2 2 1\n2 1 1,5\n",
       "FILE:3: row 2, column 1: '1,5' is not a finite number: write numbers like 1234.5"},
      {head + "2 2 1\n1 1 1 7\n", "FILE:3: the line goes on where it should end"},
      {head + "2 2 2\n1 1 1\n", "the file ends early"},
      {head + "2 2 1\n1 1 1\n2 2 2\n", "FILE:4: more entries than the header states"},
      {head + "1099511627776 2 1\n1 1 1\n", "there are far more rows than entries"},
      {"%%MatrixMarket matrix array real general\n99999999 99999999\n1\n",
       "the array is larger than the file"},
      {head, "a number of rows belongs here"}};
  for (const auto& [text, why] : cases)
    EXPECT_THAT(error_of([&, t = text] { parsed_mtx(t); }), HasSubstr(why)) << text;
}

}  // namespace
}  // namespace lambdaml::data
