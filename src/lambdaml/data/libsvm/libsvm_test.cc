#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using test::error_of;
using test::parse_text;
using test::to_labels;
using test::to_rows;

using Rows = std::vector<std::vector<float>>;
using Labels = std::vector<std::int32_t>;

std::string error_in(std::string_view text) {
  return error_of([&] { parse_text(text); });
}

TEST(Libsvm, ReadsRowsAndLabels) {
  const Dataset data = parse_text("+1 1:0.5 3:-2\n-1 2:1e-3\n");
  EXPECT_EQ(to_labels(data), (Labels{1, -1}));
  EXPECT_EQ(to_rows(data), (Rows{{0.5F, 0, -2}, {0, 1e-3F, 0}}));
}

TEST(Libsvm, TakesWhatPeopleWrite) {
  const Dataset plain = parse_text("1 1:1 2:2\n0 2:3\n2\n");
  for (const std::string_view text : {
           "1 1:1 2:2\n0 2:3\n2",                             // no newline at the end
           "1 1:1 2:2\r\n0 2:3\r\n2\r\n",                     // CRLF
           "1 1:1 2:2 \n0 2:3\t\n2  \n",                      // trailing blanks
           "1\t1:1\t2:2\n0\t \t2:3\n 2\n",                    // tabs, leading blanks
           "\n\n1 1:1 2:2\n  \n0 2:3\n\r\n2\n\n",             // blank lines
           "# rows: 3\n1 1:1 2:2 # one\n0 2:3#two\n #\n2 #",  // comments
           "\xef\xbb\xbf"
           "1 1:1 2:2\n0 2:3\n2\n",              // a byte order mark
           "1.0 1:1.0 2:2.\n0e3 2:+3\n+2.00\n",  // numbers written otherwise
           "1 1:10e-1 2:0.2E1\n0 2:.3e+1\n2\n",
           "1 0001:1 0000000002:2\n0 2:3\n2\n",  // leading zeros
       }) {
    const Dataset data = parse_text(text);
    EXPECT_EQ(to_labels(data), to_labels(plain)) << text;
    EXPECT_EQ(to_rows(data), to_rows(plain)) << text;
  }
}

TEST(Libsvm, LabelsAreAnyIntegersOf32Bits) {
  EXPECT_EQ(to_labels(parse_text("-2147483648\n2147483647\n-0\n+7\n1234567\n12345678\n-1e3\n")),
            (Labels{INT32_MIN, INT32_MAX, 0, 7, 1234567, 12345678, -1000}));
}

TEST(Libsvm, RowsWithoutLabels) {
  const Dataset data = parse_text("1:1 2:2\n\n# nothing\n2:3\n");
  EXPECT_FALSE(data.labelled());
  EXPECT_EQ(to_rows(data), (Rows{{1, 2}, {0, 3}}));
}

TEST(Libsvm, AnEmptyTextHasNoRows) {
  for (const std::string_view text : {"", "\n", "  \r\n", "# a comment", "\xef\xbb\xbf"})
    EXPECT_EQ(parse_text(text).rows(), 0U) << text;
}

TEST(Libsvm, TheFormFollowsTheData) {
  EXPECT_FALSE(tensor::is_sparse(parse_text("1 32:1\n").features));
  EXPECT_TRUE(tensor::is_sparse(parse_text("1 33:1\n").features));
  EXPECT_TRUE(tensor::is_sparse(parse_text("1 3:1\n", Form::sparse).features));
  EXPECT_FALSE(tensor::is_sparse(parse_text("1 3000:1\n", Form::dense).features));
  EXPECT_TRUE(std::holds_alternative<tensor::Csr16>(parse_text("1 65536:1\n").features));
  EXPECT_TRUE(std::holds_alternative<tensor::Csr32>(parse_text("1 65537:1\n").features));
  std::string half = "1";
  for (int i = 1; i <= 20; ++i) half += " " + std::to_string(i) + ":1";
  EXPECT_FALSE(tensor::is_sparse(parse_text(half + " 40:1\n").features));
  EXPECT_TRUE(tensor::is_sparse(parse_text(half + " 43:1\n").features));
}

TEST(Libsvm, IndicesReachTwoToThe31) {
  const Dataset data = parse_text("1 2147483648:5\n");
  EXPECT_EQ(data.cols(), std::size_t{1} << 31);
  EXPECT_EQ(std::get<tensor::Csr32>(data.features).indices[0], 2147483647U);
  // A hundred of such rows, dense, are 800 GiB.
  std::string many = "1 2147483648:5\n";
  for (int r = 0; r < 99; ++r) many += "0\n";
  EXPECT_EQ(error_of([&] { parse_text(many, Form::dense); }),
            "resource_exhausted: FILE: does not fit the memory as a dense matrix of 2,147,483,648 "
            "features; keep it sparse");
}

struct BadCase {
  const char* text;
  const char* error;
};

TEST(Libsvm, SaysWhatIsWrongAndWhere) {
  const BadCase cases[] = {
      {"1 -3:1\n", "FILE:1: feature index -3 is negative: indices begin at 1"},
      {"1 2:1 1:1\n", "FILE:1: feature index 1 comes after 2: indices must ascend, sort the row"},
      {"1 2:1 2:1\n", "FILE:1: feature index 2 stands twice in the row: keep one"},
      {"1 2147483649:1\n",
       "FILE:1: feature index 2147483649 is beyond 2147483648: number the features from 1"},
      {"1 99999999999999999999999:1\n",
       "FILE:1: feature index 99999999999999999999999 is beyond 2147483648: number the features "
       "from 1"},
      {"1 x:1\n", "FILE:1: feature index 'x' is not a number: write index:value"},
      {"1 1.5:1\n", "FILE:1: feature index '1.5' is not a number: write index:value"},
      {"1 :1\n", "FILE:1: feature index '' is not a number: write index:value"},
      {"1 qid:3 1:1\n",
       "FILE:1: qid marks the queries of a ranking, which no model here learns: remove it, for "
       "instance with: sed 's/ qid:[0-9]*//'"},
      {"1 7\n",
       "FILE:1: '7' is not a feature: write index:value (a table with blanks between fields: "
       "--format "
       "csv --delimiter ' ')"},
      {"1 1:\n", "FILE:1: feature 1 has no value: write index:value without blanks"},
      {"1 1: 2\n", "FILE:1: feature 1 has no value: write index:value without blanks"},
      {"1 1:nan\n",
       "FILE:1: value 'nan' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:inf\n",
       "FILE:1: value 'inf' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:-Infinity\n",
       "FILE:1: value '-Infinity' of feature 1 is not a finite number: correct it, or leave it "
       "out"},
      {"1 1:0x10\n",
       "FILE:1: value '0x10' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:1,5\n",
       "FILE:1: value '1,5' of feature 1 is not a finite number: write numbers like 1234.5"},
      {"1 1:--1\n",
       "FILE:1: value '--1' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:+-1\n",
       "FILE:1: value '+-1' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:.\n",
       "FILE:1: value '.' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:1e\n",
       "FILE:1: value '1e' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:1.2.3\n",
       "FILE:1: value '1.2.3' of feature 1 is not a finite number: correct it, or leave it out"},
      {"1 1:1e999\n",
       "FILE:1: value '1e999' of feature 1 is too large for 32-bit floats: scale it"},
      {"1 1:3.5e38\n",
       "FILE:1: value '3.5e38' of feature 1 is too large for 32-bit floats: scale it"},
      {"# c\n\nx 1:1\n",
       "FILE:3: label 'x' is not a number: write a class or a target first, then index:value "
       "pairs (a table: --format csv)"},
      {"nan 1:1\n",
       "FILE:1: label 'nan' is not a number: write a class or a target first, then index:value "
       "pairs (a table: --format csv)"},
      {"1,2,3\n",
       "FILE:1: label '1,2,3' is not a number: write a class or a target first, then "
       "index:value pairs (a table: --format csv)"},
      {"1e39 1:1\n", "FILE:1: label '1e39' is too large for 32-bit floats: scale it"},
      {"1 1:1\n2:1\n", "FILE:2: no label, while the rows before have one: label all rows or none"},
      {"1:1\n1 2:1\n", "FILE:2: a label, while the rows before have none: label all rows or none"},
      {"1 1:1\n\x01\x02\xff:zz\n",
       "FILE:2: no label, while the rows before have one: label all rows or none"},
      {"\x7f"
       "ELF\x02\x01\n",
       "FILE:1: label '\\x7fELF\\x02\\x01' is not a number: write a class or a target first, then "
       "index:value pairs (a table: --format csv)"},
  };
  for (const BadCase& bad : cases)
    EXPECT_EQ(error_in(bad.text), std::string("data_corrupt: ") + bad.error) << bad.text;
}

Dataset with_base(std::string_view text, const char* base, std::size_t threads = 1) {
  Options options = format_options();
  options.parse("index_base", base, "--index-base");
  return read_with(registry().get("libsvm"), test::shared(text),
                   {.what = "FILE", .threads = threads}, options);
}

TEST(Libsvm, IndicesFromZeroAreDetected) {
  const Dataset data = parse_text("1 1:4 2:5\n0 0:3 2:6\n");
  EXPECT_EQ(to_rows(data), (std::vector<std::vector<float>>{{0, 4, 5}, {3, 0, 6}}));
  // Wherever the first one is.
  std::string text;
  for (int r = 0; r < 40'000; ++r) text += fmt::format("{} 1:0.5 2:{}\n", r % 2, r);
  text += "1 0:7\n";
  for (const std::size_t threads : {1U, 3U}) {
    const Dataset far = parse_text(text, Form::automatic, threads);
    EXPECT_EQ(far.cols(), 3U);
    EXPECT_EQ(to_rows(far)[40'000], (std::vector<float>{7, 0, 0}));
    EXPECT_EQ(to_rows(far)[3], (std::vector<float>{0, 0.5, 3}));
  }
}

TEST(Libsvm, IndicesBeginWhereTheOptionSays) {
  EXPECT_EQ(to_rows(with_base("1 1:4\n", "0")), (std::vector<std::vector<float>>{{0, 4}}));
  EXPECT_EQ(to_rows(with_base("1 1:4\n", "1")), (std::vector<std::vector<float>>{{4}}));
  EXPECT_EQ(error_of([] { with_base("1 1:1\n1 0:1\n", "1"); }),
            "data_corrupt: FILE:2: feature index 0: indices begin at 1; --index-base 0");
  EXPECT_EQ(
      error_of([] { with_base("1 3:1 2:1\n", "0"); }),
      "data_corrupt: FILE:1: feature index 2 comes after 3: indices must ascend, sort the row");
  EXPECT_EQ(error_of([] { with_base("1 0:1 0:1\n", "0"); }),
            "data_corrupt: FILE:1: feature index 0 stands twice in the row: keep one");
  EXPECT_EQ(error_of([] { with_base("1 0:x\n", "0"); }),
            "data_corrupt: FILE:1: value 'x' of feature 0 is not a finite number: correct it, or "
            "leave it "
            "out");
}

TEST(Libsvm, RealLabelsAreTargets) {
  const Dataset data = parse_text("1.5 1:1\n2 1:2\n-3e9 1:3\n");
  EXPECT_TRUE(data.labels.empty());
  EXPECT_EQ(test::to_targets(data), (std::vector<float>{1.5, 2, -3e9F}));
  // Whole ones before it in other blocks become targets too.
  std::string text;
  for (int r = 0; r < 50'000; ++r) text += fmt::format("{} 1:0.5\n", r);
  ASSERT_TRUE(parse_text(text).targets.empty());
  text += "0.5 1:1\n7 1:2\n";
  for (const Form form : {Form::dense, Form::sparse})
    for (const std::size_t threads : {1U, 3U}) {
      const std::vector<float> targets = test::to_targets(parse_text(text, form, threads));
      ASSERT_EQ(targets.size(), 50'002U);
      EXPECT_EQ(targets[49'999], 49'999);
      EXPECT_EQ(targets[50'000], 0.5F);
      EXPECT_EQ(targets[50'001], 7);
    }
  const Buffer written = registry().get("libsvm").write(data);
  EXPECT_TRUE(test::same(parse_text(written.text()), data));
}

TEST(Libsvm, TinyValuesUnderflowAsStrtof) {
  const Dataset data = parse_text("1 1:1e-45 2:1e-46 3:-1e-999 4:1.1754943e-38 5:1e-40\n");
  const std::vector<float> row = to_rows(data)[0];
  EXPECT_EQ(row[0], 1e-45F);
  EXPECT_EQ(row[1], 0.0F);
  EXPECT_EQ(row[2], 0.0F);
  EXPECT_TRUE(std::signbit(row[2]));
  EXPECT_EQ(row[3], 1.1754943e-38F);
  EXPECT_EQ(row[4], 1e-40F);
}

/// Text over many blocks, whose lines differ in length.
std::string long_text(std::size_t rows, std::size_t cols) {
  std::string text;
  for (std::size_t r = 0; r < rows; ++r) {
    text += std::to_string(r % 3);
    for (std::size_t c = 1; c <= cols; ++c)
      if ((r * 7 + c * 13) % 11 < 8)
        text += " " + std::to_string(c) + ":" + std::to_string(static_cast<double>(r * c) / 97);
    text += "\n";
  }
  return text;
}

TEST(Libsvm, ThreadsAndBlocksDoNotShow) {
  const std::string dense = long_text(6000, 28);
  ASSERT_GT(dense.size(), 10U * 128 * 1024);
  const Dataset one = parse_text(dense);
  EXPECT_EQ(one.rows(), 6000U);
  EXPECT_FALSE(tensor::is_sparse(one.features));
  // The last row by hand: 5999 · 7 + 1 · 13 ≡ 8 (mod 11), so feature 1 is absent; feature 3 has
  // remainder 1, so it is there with 5999 · 3 / 97.
  EXPECT_EQ(to_rows(one)[5999][0], 0.0F);
  EXPECT_EQ(to_rows(one)[5999][2], std::strtof("185.536082", nullptr));
  for (const std::size_t threads : {2U, 3U, 7U})
    EXPECT_TRUE(test::same(parse_text(dense, Form::automatic, threads), one)) << threads;
  const Dataset sparse = parse_text(dense, Form::sparse);
  EXPECT_EQ(to_rows(sparse), to_rows(one));
  EXPECT_TRUE(test::same(parse_text(dense, Form::sparse, 3), sparse));
}

TEST(Libsvm, AFileThatTurnsOutUnlikeItsBeginning) {
  std::string text = long_text(3000, 28);
  const Dataset before = parse_text(text);
  // Wider and sparse: the beginning is collected dense and must be begun anew.
  text += "1 5:1 70000:2\n";
  for (const std::size_t threads : {1U, 2U}) {
    const Dataset data = parse_text(text, Form::automatic, threads);
    ASSERT_TRUE(std::holds_alternative<tensor::Csr32>(data.features));
    EXPECT_EQ(data.cols(), 70000U);
    EXPECT_EQ(data.rows(), 3001U);
    const auto& csr = std::get<tensor::Csr32>(data.features);
    EXPECT_EQ(csr.offsets[3001] - csr.offsets[3000], 2U);
    EXPECT_EQ(csr.indices[csr.offsets[3001] - 1], 69999U);
    EXPECT_EQ(to_rows(with_cols(data.slice(0, 3000), 28)), to_rows(before));
  }
  // A sparse beginning, dense as a whole.
  std::string sparse_first;
  for (int r = 0; r < 20000; ++r) sparse_first += "0 40:1\n";
  std::string full = "1";
  for (int c = 1; c <= 40; ++c) full += " " + std::to_string(c) + ":2";
  for (int r = 0; r < 30000; ++r) sparse_first += full + "\n";
  const Dataset whole = parse_text(sparse_first);
  EXPECT_FALSE(tensor::is_sparse(whole.features));
  EXPECT_EQ(whole.rows(), 50000U);
  EXPECT_EQ(to_rows(whole)[0][39], 1.0F);
  EXPECT_EQ(to_rows(whole)[49999][0], 2.0F);
}

TEST(Libsvm, ErrorsInLaterBlocksNameTheirLineAndTheFirstComesFirst) {
  std::string text = long_text(6000, 28);
  text += "1 1:x\n";
  text += long_text(3000, 28);
  text += "y 1:1\n";
  for (const std::size_t threads : {1U, 2U, 5U})
    EXPECT_EQ(error_of([&] { parse_text(text, Form::automatic, threads); }),
              "data_corrupt: FILE:6001: value 'x' of feature 1 is not a finite number: correct it, "
              "or leave it out");
  std::string mixed = long_text(6000, 28);
  for (int r = 0; r < 50000; ++r) mixed += "1:1\n";
  EXPECT_EQ(error_of([&] { parse_text(mixed, Form::automatic, 2); }),
            "data_corrupt: FILE:6001: no label, while the rows before have one: label all rows or "
            "none");
}

TEST(Libsvm, LinesLongerThanABlock) {
  std::string text = "1";
  for (int c = 1; c <= 60000; ++c) text += " " + std::to_string(c) + ":" + std::to_string(c % 10);
  const std::string one = text;
  text += "\n0 5:1\n" + one;  // no newline at the end of the second
  ASSERT_GT(one.size(), 3U * 128 * 1024);
  const Dataset data = parse_text(text, Form::automatic, 2);
  ASSERT_EQ(data.rows(), 3U);
  EXPECT_EQ(data.cols(), 60000U);
  const auto rows = to_rows(data);
  EXPECT_EQ(rows[0], rows[2]);
  EXPECT_EQ(rows[0][59998], 9.0F);
  EXPECT_EQ(rows[1][4], 1.0F);
}

TEST(Libsvm, WritesWhatItReads) {
  const Plugin& plugin = registry().get("libsvm");
  const std::string_view texts[] = {
      "1 1:0.5 2:0 3:-2.25\n-1 1:0.001 2:1e-20 3:0\n",
      "-2147483648 2:16777216 40:3.4028235e+38\n3\n2147483647 1:-1.1754944e-38 65537:1\n",
      "1:1 2:2\n1:0.1 2:-0.7\n",
  };
  for (const std::string_view text : texts) {
    const Dataset data = parse_text(text);
    const Buffer written = plugin.write(data);
    EXPECT_EQ(written.text(), text);
    EXPECT_TRUE(test::same(parse_text(written.text()), data));
  }
  EXPECT_EQ(plugin.write(parse_text("1 1:1\n2 1:2\n3 1:3\n").slice(1, 3)).text(), "2 1:2\n3 1:3\n");
  EXPECT_EQ(plugin.write(parse_text("1 40:1\n2 41:2\n3 42:3\n").slice(1, 3)).text(),
            "2 41:2\n3 42:3\n");
}

TEST(Libsvm, RecognizesText) {
  const Plugin& plugin = registry().get("libsvm");
  EXPECT_TRUE(plugin.recognizes(as_bytes("1 1:1\r\n\t# größer\n")));
  EXPECT_TRUE(plugin.recognizes({}));
  EXPECT_FALSE(plugin.recognizes(as_bytes(std::string_view("1 1:1\0", 6))));
  EXPECT_FALSE(
      plugin.recognizes(as_bytes("\x7f"
                                 "ELF\x02")));
}

}  // namespace
}  // namespace lambdaml::data
