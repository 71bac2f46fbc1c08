#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/data/testing/test_util.h"

/// What every registered data format must do.
namespace lambdaml::data {
namespace {

using testing::AnyOf;
using testing::StartsWith;
using namespace test;

/// Rows of each kind that formats are for. A format may refuse kinds, but not all.
std::vector<Dataset> samples() {
  constexpr std::size_t kRows = 60;
  const auto of = [](std::size_t cols, std::int32_t classes, const auto& value) {
    struct Rows {
      std::vector<float> values;
      std::vector<std::int32_t> labels;
    };
    const auto rows = std::make_shared<Rows>();
    Rng rng(cols);
    for (std::size_t i = 0; i < kRows * cols; ++i) rows->values.push_back(value(rng));
    for (std::size_t r = 0; r < kRows; ++r)
      rows->labels.push_back(static_cast<std::int32_t>(r) % classes);
    return Dataset{tensor::DenseView{rows->values.data(), kRows, cols}, rows->labels, rows};
  };
  const Dataset dense = of(7, 2, [](Rng& rng) { return static_cast<float>(rng.uniform(-9, 9)); });
  const Dataset wide = of(300, 5, [](Rng& rng) {
    return rng.below(20) == 0 ? static_cast<float>(rng.uniform(-1e-3, 1e6)) : 0.0F;
  });
  const Dataset pixels = of(3072, 10, [](Rng& rng) { return static_cast<float>(rng.below(256)); });
  const auto unlabelled = [](Dataset rows) {
    rows.labels = {};
    return rows;
  };
  return {in_form(dense, Form::dense),
          in_form(wide, Form::sparse),
          in_form(pixels, Form::dense),
          unlabelled(in_form(dense, Form::dense)),
          unlabelled(in_form(wide, Form::sparse)),
          tensors(kRows),
          images(kRows, {1, 4, 5}),
          images(1, {3, 6, 5}),
          with_labels(images(kRows, {3, 32, 32}))};
}

/// A set of tensors has them all again, and one of features its rows and labels.
bool same_content(const Dataset& again, const Dataset& rows) {
  if (!rows.tensors.empty()) return same(again, rows);
  // A format need not say how many features there are beyond the last that is not 0.
  return again.cols() <= rows.cols() && to_rows(with_cols(again, rows.cols())) == to_rows(rows) &&
         to_labels(again) == to_labels(rows);
}

class FormatConformance : public testing::TestWithParam<std::string> {
 protected:
  const Plugin& format() const { return registry().get(GetParam()); }
  Dataset read(const Buffer& bytes, std::size_t threads = 1) const {
    return read_with(format(), std::make_shared<const Buffer>(bytes.view()),
                     {.what = "FILE", .threads = threads}, format_options());
  }
  /// Those that the format takes, and their files.
  std::vector<std::pair<Dataset, Buffer>> written() const {
    std::vector<std::pair<Dataset, Buffer>> out;
    for (const Dataset& sample : samples()) {
      try {
        out.emplace_back(sample, format().write(sample));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
      }
    }
    return out;
  }
};

std::vector<std::string> all_formats() { return registry().names(); }

INSTANTIATE_TEST_SUITE_P(, FormatConformance, testing::ValuesIn(all_formats()),
                         [](const auto& info) { return info.param; });

TEST_P(FormatConformance, WhatIsWrittenIsReadAgain) {
  const auto files = written();
  ASSERT_FALSE(files.empty()) << "a format that takes none of these rows";
  for (const auto& [rows, bytes] : files) {
    for (const std::size_t threads : {1U, 2U, 5U}) {
      EXPECT_TRUE(same_content(read(bytes, threads), rows));
    }
  }
}

TEST_P(FormatConformance, IsRecognizedAndTheFirstToBe) {
  for (const auto& [rows, bytes] : written()) {
    const Bytes head = bytes.view().first(std::min<std::size_t>(bytes.size(), 4096));
    ASSERT_TRUE(format().recognizes(head));
    for (const Plugin& other : registry().entries()) {
      if (other.name == GetParam()) break;
      EXPECT_FALSE(other.recognizes(head))
          << "the format " << other.name << " takes it for its own";
    }
  }
}

TEST_P(FormatConformance, RecognizesNoRandomBytes) {
  Rng rng(1);
  std::string noise(4096, '\0');
  for (char& c : noise) c = static_cast<char>(rng.below(256));
  EXPECT_FALSE(format().recognizes(as_bytes(noise)));
}

/// A damaged file gives an error that names it, or rows; nothing else.
void expect_harmless(const Plugin& format, const Buffer& bytes) {
  EXPECT_THAT(error_of([&] {
                const Dataset rows = read_with(format, std::make_shared<const Buffer>(bytes.view()),
                                               {.what = "FILE"}, format_options());
                to_rows(with_cols(rows, std::min<std::size_t>(rows.cols(), 4000)));
                to_labels(rows);
              }),
              AnyOf("", testing::AllOf(testing::AnyOf(StartsWith("data_corrupt: "),
                                                      StartsWith("invalid_argument: "),
                                                      StartsWith("resource_exhausted: ")),
                                       testing::HasSubstr("FILE"))));
}

TEST_P(FormatConformance, DamagedFilesAreHarmless) {
  for (const auto& [rows, bytes] : written()) {
    Rng rng(bytes.size());
    for (int i = 0; i < 60; ++i) {
      expect_harmless(format(), Buffer(bytes.view().first(rng.below(bytes.size()))));
      Buffer changed(bytes.view());
      for (int n = 0; n < 3; ++n)
        changed.data()[rng.below(changed.size())] = static_cast<std::byte>(rng.below(256));
      expect_harmless(format(), changed);
    }
  }
}

TEST_P(FormatConformance, FilesThatSayWhatTheyArePartOfSayItAgain) {
  if (!format().write_part) return;  // not every format's files do
  ASSERT_TRUE(format().statement);
  for (const auto& [rows, bytes] : written()) {
    const Identity identity{.data_set = 4711, .part = "2_8"};
    const Written file = format().write_part(rows, identity);
    const Buffer whole = joined(file.pieces);
    EXPECT_EQ(file.bytes(), whole.size());
    const Statement statement =
        format().statement(std::make_shared<const Buffer>(whole.view()), "FILE");
    EXPECT_EQ(statement.identity, identity);
    EXPECT_EQ(statement.checksum, file.checksum);
    EXPECT_TRUE(same_content(read(whole), rows));
    // The same rows have the same checksum, whatever they are a part of.
    EXPECT_EQ(format().write_part(rows, {.data_set = 1, .part = "0_1"}).rows_checksum,
              file.rows_checksum);
  }
}

}  // namespace
}  // namespace lambdaml::data
