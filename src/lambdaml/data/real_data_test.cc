#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

std::filesystem::path data_folder() {
  if (const char* folder = std::getenv("LAMBDAML_TEST_DATA")) return folder;
  return std::filesystem::path(LAMBDAML_SOURCE_DIR) / "../shared/data";
}

/// Counted with awk: fields, distinct first fields, largest index.
struct Known {
  const char* file;
  std::size_t rows;
  std::size_t features;
  std::size_t entries;  ///< `index:value` pairs in the text
  bool sparse;
  std::vector<std::pair<std::int32_t, std::size_t>> labels;  ///< and how many rows have each
  std::size_t rows_without_features;
};

const Known kFiles[] = {
    {"agaricus.train.libsvm", 6513, 126, 143286, true, {{0, 3373}, {1, 3140}}, 0},
    {"agaricus.test.libsvm", 1611, 126, 35442, true, {{0, 835}, {1, 776}}, 0},
    {"higgs.train.libsvm", 7000, 28, 180489, false, {{0, 3284}, {1, 3716}}, 0},
    {"higgs.test.libsvm", 500, 28, 12915, false, {{0, 228}, {1, 272}}, 0},
    {"rcv1.train.libsvm", 1000, 47117, 77739, true, {{-1, 541}, {1, 459}}, 0},
    {"rcv1.test.libsvm", 500, 47042, 39448, true, {{-1, 255}, {1, 245}}, 0},
    {"w8a.libsvm", 49749, 300, 579586, true, {{-1, 48270}, {1, 1479}}, 4203},
};

class RealData : public ::testing::TestWithParam<Known> {};

TEST_P(RealData, HasTheKnownSizesAndSurvivesEveryFormat) {
  const Known& known = GetParam();
  auto content = read_file(data_folder() / known.file);
  REQUIRE_OR_SKIP(content, fmt::format("no {}; set LAMBDAML_TEST_DATA to its folder", known.file));
  const auto bytes = std::make_shared<const Buffer>(std::move(*content));
  const Plugin& libsvm = registry().get("libsvm");
  const Plugin& shard = registry().get("shard");

  const Dataset data = libsvm.read(bytes, {known.file, Form::automatic, 2});
  EXPECT_EQ(data.rows(), known.rows);
  EXPECT_EQ(data.cols(), known.features);
  EXPECT_EQ(tensor::is_sparse(data.features), known.sparse);
  std::vector<std::int32_t> labels;
  for (const auto& [label, rows] : known.labels) {
    labels.push_back(label);
    EXPECT_EQ(static_cast<std::size_t>(std::count(data.labels.begin(), data.labels.end(), label)),
              rows);
  }
  EXPECT_EQ(distinct_labels(data.labels), labels);

  const Dataset sparse = libsvm.read(bytes, {known.file, Form::sparse, 1});
  const auto& csr = std::get<tensor::Csr16>(sparse.features);
  EXPECT_EQ(csr.nonzeros(), known.entries);
  std::size_t without_features = 0;
  for (std::size_t r = 0; r < csr.rows; ++r)
    without_features += csr.offsets[r] == csr.offsets[r + 1] ? 1 : 0;
  EXPECT_EQ(without_features, known.rows_without_features);

  for (const Dataset& form : {data, sparse}) {
    const auto prepared = std::make_shared<const Buffer>(shard.write(form));
    const Dataset loaded = shard.read(prepared, {known.file, Form::automatic, 1});
    EXPECT_TRUE(test::same(loaded, form));
    const auto text = std::make_shared<const Buffer>(libsvm.write(loaded));
    const Form as = tensor::is_sparse(form.features) ? Form::sparse : Form::dense;
    EXPECT_TRUE(test::same(libsvm.read(text, {known.file, as, 1}), form));
  }
}

std::string test_name(const ::testing::TestParamInfo<Known>& info) {
  std::string name = info.param.file;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, RealData, ::testing::ValuesIn(kFiles), test_name);

// Against a plain reader with strtol and strtof.
TEST(RealDataValues, AreThoseOfTheText) {
  auto content = read_file(data_folder() / "higgs.train.libsvm");
  REQUIRE_OR_SKIP(content, "no higgs.train.libsvm; set LAMBDAML_TEST_DATA to its folder");
  const std::string text(content->text());
  const Dataset data = test::parse_text(text);
  const auto rows = test::to_rows(data);
  const char* p = text.c_str();
  for (std::size_t r = 0; r < data.rows(); ++r) {
    char* end = nullptr;
    ASSERT_EQ(std::strtol(p, &end, 10), data.labels[r]);
    std::vector<float> expected(28);
    for (p = end; *p == ' '; p = end) {
      const long index = std::strtol(p, &end, 10);
      expected.at(static_cast<std::size_t>(index - 1)) = std::strtof(end + 1, &end);
    }
    ASSERT_EQ(rows[r], expected) << "row " << r;
    ++p;
  }
}

}  // namespace
}  // namespace lambdaml::data
