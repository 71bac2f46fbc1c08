#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/data/align.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using Rows = std::vector<std::vector<float>>;
using Labels = std::vector<std::int32_t>;
using Given = std::vector<std::pair<const char*, const char*>>;

Options with(const Given& given) {
  Options options = format_options();
  for (const auto& [name, value] : given) options.parse(name, value, name);
  return options;
}

const Plugin& csv() { return registry().get("csv"); }

Dataset parsed(std::string_view text, const Given& given = {}, const Names* names = nullptr,
               std::size_t threads = 1) {
  ReadOptions how{.what = "FILE", .threads = threads};
  if (names != nullptr) {
    how.names = std::make_shared<const Names>(*names);
    how.features = names->features.size();
  }
  return read_with(csv(), shared(text), how, with(given));
}

std::string csv_error(std::string_view text, const Given& given = {}) {
  return error_of([&] { parsed(text, given); });
}

TEST(Csv, ATableWithAHeader) {
  const Dataset data = parsed("age,label,height\n30,1,1.5\n-4,0,+2e1\n.5,1,-0.25\n");
  EXPECT_EQ(to_rows(data), (Rows{{30, 1.5}, {-4, 20}, {0.5, -0.25}}));
  EXPECT_EQ(to_labels(data), (Labels{1, 0, 1}));
  EXPECT_EQ(names_in(data), (Names{{"age", "height"}, {}, "label", {}}));
}

TEST(Csv, WithoutAHeaderTheFirstColumnIsTheLabel) {
  const Dataset data = parsed("1,2,3\n0,4,5\n");
  EXPECT_EQ(to_rows(data), (Rows{{2, 3}, {4, 5}}));
  EXPECT_EQ(to_labels(data), (Labels{1, 0}));
  EXPECT_EQ(data.names, nullptr);
}

TEST(Csv, AHeaderAlone) {
  for (const char* text : {"y,a", "y,a\n", "y,a\n\n"})
    EXPECT_EQ(parsed(text, {{"header", "yes"}}).rows(), 0U);
}

TEST(Csv, TheLabelIsNamedOrCounted) {
  const char* const text = "a,b,c\n1,2,3\n0,4,5\n";
  for (const char* label : {"b", "1", "-2"}) {
    EXPECT_EQ(to_labels(parsed(text, {{"label", label}})), (Labels{2, 4})) << label;
    EXPECT_THAT(names_in(parsed(text, {{"label", label}})).features, ElementsAre("a", "c"));
  }
  EXPECT_EQ(to_labels(parsed(text, {{"label", "-1"}})), (Labels{3, 5}));
  EXPECT_FALSE(parsed(text, {{"label", "none"}}).labelled());
  for (const char* name : {"Label", "TARGET", "class", "Y"})
    EXPECT_EQ(to_labels(parsed(fmt::format("a,b,{}\n1,2,3\n", name))), (Labels{3})) << name;
}

TEST(Csv, AColumnMayHaveTheWeights) {
  const char* const text = "a,w,y,b\n1,0.5,1,3\n4,0,0,6\n7,2,1,9\n";
  for (const char* column : {"w", "1", "-3"}) {
    const Dataset data = parsed(text, {{"weight_column", column}});
    EXPECT_EQ(to_rows(data), (Rows{{1, 3}, {4, 6}, {7, 9}})) << column;
    EXPECT_EQ(to_labels(data), (Labels{1, 0, 1})) << column;
    EXPECT_EQ(to_weights(data), (std::vector<float>{0.5, 0, 2})) << column;
    EXPECT_EQ(names_in(data), (Names{{"a", "b"}, {}, "y", {}, "w"})) << column;
  }
  for (const Given& none : {Given{}, Given{{"weight_column", "none"}}}) {
    EXPECT_EQ(parsed(text, none).cols(), 3U);
    EXPECT_TRUE(parsed(text, none).weights.empty());
  }
  // Without a header the label is the first column that is left.
  const Dataset bare = parsed("0.5,1,3\n2,0,6\n", {{"weight_column", "0"}});
  EXPECT_EQ(to_labels(bare), (Labels{1, 0}));
  EXPECT_EQ(to_rows(bare), (Rows{{3}, {6}}));
  EXPECT_EQ(to_weights(bare), (std::vector<float>{0.5, 2}));
  // With several threads, blocks and categories, rows keep their weights.
  std::string many = "y,c,w\n";
  for (int i = 0; i < 20'000; ++i)
    many += fmt::format("{},{}{},{}\n", i % 2, i % 3 == 0 ? "r" : "g", i % 5, i);
  const Dataset wide = parsed(many, {{"weight_column", "w"}}, nullptr, 3);
  ASSERT_EQ(wide.weights.size(), 20'000U);
  for (std::size_t i = 0; i < 20'000; ++i) ASSERT_EQ(wide.weights[i], static_cast<float>(i));
}

TEST(Csv, RowsForAModelNeedNoWeights) {
  const Names model{{"a", "b"}, {}, "y", {}, "w"};
  for (const Given& given : {Given{}, Given{{"weight_column", "w"}}})
    for (const char* text : {"a,w,y,b\n1,0.5,1,3\n", "y,b,a\n1,3,1\n", "a,b,w\n1,3,bad\n"}) {
      const Dataset data = parsed(text, given, &model);
      ASSERT_EQ(data.cols(), 2U) << text;
      EXPECT_TRUE(data.weights.empty()) << text;
    }
  // Without a header an index says where they are, if there are any.
  const Given third{{"weight_column", "2"}};
  EXPECT_EQ(to_rows(parsed("1,3,9\n", third, &model)), (Rows{{1, 3}}));
  EXPECT_EQ(to_rows(parsed("1,3\n", third, &model)), (Rows{{1, 3}}));
  EXPECT_EQ(to_rows(parsed("0,1,9,3\n", third, &model)), (Rows{{1, 3}}));
  // The label is the first column besides.
  const Dataset labelled = parsed("9,0,1,3\n", {{"weight_column", "0"}}, &model);
  EXPECT_EQ(to_rows(labelled), (Rows{{1, 3}}));
  EXPECT_EQ(to_labels(labelled), (Labels{0}));
}

TEST(Csv, DelimitersAreFound) {
  for (const char delimiter : {',', ';', '\t', '|'}) {
    std::string text = "a,y,b\n1.5,2,3\n4,5,6\n";
    std::replace(text.begin(), text.end(), ',', delimiter);
    EXPECT_EQ(to_rows(parsed(text)), (Rows{{1.5, 3}, {4, 6}})) << delimiter;
    EXPECT_TRUE(csv().recognizes(as_bytes(text)));
  }
  EXPECT_EQ(to_rows(parsed("1 2 3\n", {{"delimiter", " "}})), (Rows{{2, 3}}));
  EXPECT_EQ(to_rows(parsed("1\t2\t3\n", {{"delimiter", "tab"}})), (Rows{{2, 3}}));
  EXPECT_THAT(csv_error("1,2\n", {{"delimiter", "ab"}}),
              HasSubstr("write one character, tab or auto"));
}

TEST(Csv, QuotesBlanksAndLineEnds) {
  const Dataset data = parsed(
      "\xef\xbb\xbf\"y\", \"a \"\"b\"\"\" ,\"c,\nd\"\r\n \"1\" , 2,\"3\"\r\n\r\n0,\t4 "
      ",5\r\n\n1,6,7");
  EXPECT_THAT(names_in(data).features, ElementsAre("a \"b\"", "c,\nd"));
  EXPECT_EQ(to_rows(data), (Rows{{2, 3}, {4, 5}, {6, 7}}));
  EXPECT_EQ(to_labels(data), (Labels{1, 0, 1}));
}

TEST(Csv, TextsBecomeCategoriesInOrder) {
  const Dataset data = parsed("y,colour,size\nno,red,1\nyes,blue,2\nno,red,3\n");
  EXPECT_THAT(names_in(data).features, ElementsAre("colour=blue", "colour=red", "size"));
  EXPECT_THAT(names_in(data).labels, ElementsAre("no", "yes"));
  EXPECT_EQ(to_rows(data), (Rows{{0, 1, 1}, {1, 0, 2}, {0, 1, 3}}));
  EXPECT_EQ(to_labels(data), (Labels{0, 1, 0}));
  // Without a header columns are called by their index.
  const Dataset unnamed = parsed("p,x,s\ne,x,y\np,b,s\n");
  EXPECT_THAT(names_in(unnamed).features, ElementsAre("1=b", "1=x", "2=s", "2=y"));
  EXPECT_EQ(to_labels(unnamed), (Labels{1, 0, 1}));
  const Dataset zip = parsed("y,zip\n1,20\n0,30\n", {{"categorical", "zip"}});
  EXPECT_THAT(names_in(zip).features, ElementsAre("zip=20", "zip=30"));
}

TEST(Csv, RealLabelsAreTargets) {
  const Dataset data = parsed("a,y\n1,2.5\n2,3\n");
  EXPECT_TRUE(data.labels.empty());
  EXPECT_EQ(to_targets(data), (std::vector<float>{2.5, 3}));
  EXPECT_EQ(to_labels(parsed("y,a\n1.0,1\n-2e0,2\n2147483647,3\n")), (Labels{1, -2, 2147483647}));
  EXPECT_EQ(to_targets(parsed("y,a\n2147483648,3\n")), (std::vector<float>{2147483648.0F}));
}

TEST(Csv, MissingValues) {
  const char* const text = "y,a,b,c\n1,,2,x\n0,3,NA,\n1,5,4,y\n";
  EXPECT_EQ(csv_error(text),
            "data_corrupt: FILE:2: row 1, column 'a': the value is missing: fill it by --missing "
            "mean or zero, or remove the row");
  const Dataset mean = parsed(text, {{"missing", "mean"}});
  EXPECT_EQ(to_rows(mean), (Rows{{4, 2, 1, 0}, {3, 3, 0, 0}, {5, 4, 0, 1}}));
  EXPECT_THAT(names_in(mean).fills, ElementsAre(4, 3, 0, 0));
  const Dataset zero = parsed(text, {{"missing", "zero"}});
  EXPECT_EQ(to_rows(zero)[0], (std::vector<float>{0, 2, 1, 0}));
}

TEST(Csv, AFileForAModelIsReadByItsNames) {
  const Names names =
      names_in(parsed("y,age,colour\nno,,red\nyes,40,blue\n", {{"missing", "mean"}}));
  const Learned model{names.features.size(), std::make_shared<const Names>(names)};
  // Other columns, another order, an unknown category, a missing value, one of the labels.
  const auto aligned = [&](std::string_view text) {
    return align(parsed(text, {}, &names), model, "FILE");
  };
  const Dataset rows = aligned("colour,id,y,age\nred,a7,yes,10\ngreen,b8,yes,NA\n");
  EXPECT_EQ(names_in(rows), names);
  EXPECT_EQ(to_rows(rows), (Rows{{10, 0, 1}, {40, 0, 0}}));
  EXPECT_EQ(to_labels(rows), (Labels{1, 1}));
  // Without labels.
  const Dataset unlabelled = aligned("age,colour\n10,blue\n");
  EXPECT_EQ(to_rows(unlabelled), (Rows{{10, 1, 0}}));
  EXPECT_FALSE(unlabelled.labelled());
  EXPECT_EQ(to_rows(aligned("7,blue\n")), (Rows{{7, 1, 0}}));
  EXPECT_EQ(error_of([&] { aligned("y,colour\nno,red\n"); }),
            "invalid_argument: FILE: the column 'age' is missing, which the model learned from");
  EXPECT_EQ(error_of([&] { aligned("y,age\nno,1\n"); }),
            "invalid_argument: FILE: the column 'colour' is missing, which the model learned from");
  EXPECT_EQ(error_of([&] { aligned("y,age,colour\nmaybe,1,red\n"); }),
            "invalid_argument: FILE: the model does not know its labels 'maybe': it learned 'no', "
            "'yes'");
}

// As tables are whose texts were encoded before: their columns look like texts of others.
TEST(Csv, ColumnsWithAnEqualsSignInTheirNamesAreFoundAgain) {
  const Names names = names_in(parsed("y,colour=red,colour=blue,a=b\n0,1,0,dark\n1,0,1,light\n"));
  EXPECT_EQ(names.features,
            (std::vector<std::string>{"colour=red", "colour=blue", "a=b=dark", "a=b=light"}));
  const Learned model{names.features.size(), std::make_shared<const Names>(names)};
  const auto aligned = [&](std::string_view text) {
    return align(parsed(text, {}, &names), model, "FILE");
  };
  EXPECT_EQ(to_rows(aligned("a=b,y,colour=blue,colour=red\nlight,1,0.5,7\n")),
            (Rows{{7, 0.5F, 0, 1}}));
  EXPECT_EQ(error_of([&] { aligned("y,colour=red,a=b\n1,0.5,light\n"); }),
            "invalid_argument: FILE: the column 'colour' is missing, which the model learned from");
}

TEST(Csv, AWideFileIsSparseIfNineInTenAreZero) {
  std::string text = "y";
  for (int c = 0; c < 40; ++c) text += fmt::format(",c{}", c);
  for (int r = 0; r < 5; ++r) {
    text += "\n1";
    for (int c = 0; c < 40; ++c) text += c == r ? ",7" : ",0";
  }
  const Dataset data = parsed(text);
  EXPECT_TRUE(tensor::is_sparse(data.features));
  EXPECT_EQ(to_rows(data)[3][3], 7);
  EXPECT_FALSE(tensor::is_sparse(parsed("y,a,b\n1,0,0\n").features));
}

/// Large enough for many blocks, with quoted line ends and all kinds of columns.
std::string long_table(std::size_t rows) {
  std::string text = "id,a,colour,y,note\n";
  for (std::size_t r = 0; r < rows; ++r)
    text += fmt::format("{},{},{},{},\"n\n{}\"\n", r, static_cast<double>(r) * 0.25 - 7,
                        r % 3 == 0 ? "red" : "b\xc3\xa4r", r % 2 == 0 ? "yes" : "no", r % 5);
  return text;
}

TEST(Csv, ThreadsGiveTheSameRows) {
  const std::string text = long_table(30'000);
  ASSERT_GT(text.size(), 6U * 128 * 1024);
  const Dataset one = parsed(text);
  EXPECT_EQ(one.rows(), 30'000U);
  EXPECT_EQ(one.cols(), 2U + 2 + 5);
  EXPECT_EQ(to_rows(one)[29'999][0], 29'999);
  for (const std::size_t threads : {2U, 5U})
    EXPECT_TRUE(same(parsed(text, {}, nullptr, threads), one)) << threads;
}

TEST(Csv, AFaultFarInIsNamedByLineAndRow) {
  std::string text = long_table(20'000) + "1,abc,red,yes,n\n";
  for (const std::size_t threads : {1U, 3U})
    EXPECT_EQ(error_of([&] { parsed(text, {}, nullptr, threads); }),
              "data_corrupt: FILE:40002: row 20001, column 'a': 'abc' is not a finite number: "
              "correct it, or name the column in --categorical if it holds categories");
}

TEST(Csv, WhatIsWrittenHasItsNames) {
  const Dataset data = parsed("y,colour,\"a,b\"\nno,red,1\n\" yes\",\"b;l\"\"u\",2\n");
  const Buffer text = csv().write(data);
  const Dataset again = parsed(text.text());
  EXPECT_EQ(to_rows(again), to_rows(data));
  EXPECT_EQ(names_in(again), names_in(data));
}

struct BadCsv {
  const char* text;
  Given given;
  const char* error;
};

TEST(Csv, WhatIsWrongIsNamedWithFileRowAndColumn) {
  const BadCsv cases[] = {
      {"y,a\n1,2\n0,2,3\n",
       {},
       "FILE:3: row 2, column 'a': the row has 3 fields, and the header has 2"},
      {"1,2,3\n0,2\n",
       {},
       "FILE:2: row 2, column 1: the row has 2 fields, and the first one has 3"},
      {"y,a\n1,2\n1,3\n1,4\n1,5\n1,5\n1,5\n1,5\n1,5\n1,5\n1,5\n0,x\n",
       {},
       "FILE:12: row 11, column 'a': 'x' is not a finite number"},
      {"y,a\n1,\"1,234.5\"\n",
       {},
       "FILE:2: row 1, column 'a': '1,234.5' has a decimal comma or a thousands separator: write "
       "numbers like 1234.5"},
      {"y;a\n1;3,14\n",
       {},
       "FILE:2: row 1, column 'a': '3,14' has a decimal comma or a thousands separator"},
      {"y,a\n1,1e39\n",
       {},
       "FILE:2: row 1, column 'a': '1e39' is too large for 32-bit floats: scale it"},
      {"y,a\n1,inf\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n",
       {},
       "FILE:2: row 1, column 'a': 'inf' is not a finite number"},
      {"y,a\n1,\n1,\n",
       {{"missing", "mean"}},
       "FILE: rows 1 to 2, column 'a': every value is missing: remove the column"},
      {"y,a\n,2\n1,2\n", {}, "FILE:2: row 1, column 'y': the row has no label: remove it"},
      {"y,a\n1,2\nx\"y,3\n",
       {},
       "FILE:3: row 2, column 'y': a quote inside a field without quotes"},
      {"y,a\n1,\"2\n", {}, "FILE:2: row 1, column 'a': a quote is opened here and never closed"},
      {"y,a\n1,\"2\"3\n", {}, "FILE:2: row 1, column 'a': text follows a closing quote"},
      {"y,a\n1,red\n",
       {{"text_columns", "refuse"}},
       "FILE: row 1, column 'a': 'red' is text where numbers are expected: remove the column, or "
       "read it as categories by --text-columns onehot"},
      {"y,a,a\n1,2,3\n", {}, "FILE:1: two columns have the name 'a'"},
      {"label,a,label\n1,2,3\n", {}, "FILE:1: two columns have the name 'label'"},
      {"label,a,target\n1,2,3\n",
       {},
       "FILE: the columns 'label' and 'target' could both be the label: name it by --label"},
      {"a,b\n1,2\n",
       {{"label", "aa"}},
       "FILE: --label 'aa': there is no such column, did you mean 'a'"},
      {"y,a,b\n1,2,3\n",
       {{"categorical", "b,aa"}},
       "FILE: --categorical 'aa': there is no such column, did you mean 'a'"},
      {"a,b\n1,2\n",
       {{"label", "2"}},
       "FILE: --label 2: there are 2 columns: write 0 to 1, or -1 for the last one"},
      {"a,b\n1,2\n", {{"label", "-3"}}, "FILE: --label -3: there are 2 columns"},
      {"1,2\n3,4\n",
       {{"label", "price"}},
       "FILE: --label 'price': the file has no header; give the column's index, from 0"},
      {"y,na\xefve\n1,2\n",
       {},
       "is not UTF-8 text: convert it, for instance with: iconv -f LATIN1 -t UTF-8 FILE"},
      {"y,a\n1,na\xefve\n", {}, "is not UTF-8 text"},
      {"y,a,w\n1,2,\n",
       {{"weight_column", "w"}},
       "FILE:2: row 1, column 'w': the row has no weight: write one, 0 to leave the row out"},
      {"y,a,w\n1,2,1\n1,2,nan\n",
       {{"weight_column", "w"}, {"missing", "mean"}},
       "FILE:3: row 2, column 'w': the row has no weight"},
      {"y,a,w\n1,2,-1\n",
       {{"weight_column", "w"}},
       "FILE:2: row 1, column 'w': the weight '-1' is no finite number from 0 up"},
      {"y,a,w\n1,2,inf\n",
       {{"weight_column", "w"}},
       "column 'w': the weight 'inf' is no finite number from 0 up"},
      {"y,a,w\n1,2,1e39\n", {{"weight_column", "w"}}, "the weight '1e39' is no finite number"},
      {"y,a,w\n1,2,heavy\n", {{"weight_column", "w"}}, "the weight 'heavy' is no finite number"},
      {"y,a,w\n1,2,3\n",
       {{"weight_column", "v"}},
       "FILE: --weight-column 'v': there is no such column"},
      {"y,a,w\n1,2,3\n",
       {{"weight_column", "3"}},
       "FILE: --weight-column 3: there are 3 columns: write 0 to 2, or -1 for the last one"},
      {"1,2\n3,4\n",
       {{"weight_column", "w"}},
       "FILE: --weight-column 'w': the file has no header; give the column's index, from 0"},
      {"y,w,w\n1,2,3\n", {{"weight_column", "w"}}, "FILE:1: two columns have the name 'w'"},
      {"y,a\n1,2\n",
       {{"weight_column", "y"}, {"label", "y"}},
       "FILE: column 'y' is the label and, by --weight-column, the weight: name another one"},
      {"", {}, "the data set is empty"},
      {"\n\n", {}, "the data set is empty"},
  };
  for (const BadCsv& c : cases)
    EXPECT_THAT(csv_error(c.text, c.given), HasSubstr(c.error)) << c.text;
}

TEST(Csv, TooManyTextsAreNoCategories) {
  std::string text = "y,id\n";
  for (int i = 0; i < 10'000; ++i) text += fmt::format("1,t{}\n", i);
  EXPECT_EQ(parsed(text).cols(), 10'000U);
  text += "1,new\n";
  EXPECT_THAT(csv_error(text),
              HasSubstr("row 10001, column 'id': it has more than 10,000 different texts: they are "
                        "no categories; remove the column"));
}

TEST(Csv, OnlyTablesAreRecognized) {
  for (const char* text : {"1 1:0.5 3:2\n", "1:1 2:2\n", "3\n", "", "1\t1:2\n", "0 qid:3 1:2,\n",
                           "1,2 1:1 2:1\n", "# 1,2\n1 1:1\n", "1 2 3\n"})
    EXPECT_FALSE(csv().recognizes(as_bytes(text))) << text;
  for (const char* text : {"a,b\n1,2\n", "1;2\n", "1|2",
                           "\xef\xbb\xbf"
                           "a\tb\n",
                           "\n1,2\n"})
    EXPECT_TRUE(csv().recognizes(as_bytes(text))) << text;
}

}  // namespace
}  // namespace lambdaml::data
