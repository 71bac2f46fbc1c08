// Processes that read blocks of a set together have the rows that one reader has.
#include "lambdaml/data/blocks/part_reader.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string>

#include <gmock/gmock.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/data/blocks/stored_files.h"
#include "lambdaml/data/column_notices.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::data {
namespace {

using namespace test;
using testing::HasSubstr;

struct Together {
  std::vector<Dataset> parts;
  std::vector<Findings> found;
  Agreement agreement;
};

class PartReading : public testing::Test {
 protected:
  std::shared_ptr<storage::Storage> store_ = storage::open("memory://part-reading");
  Options options_ = format_options();
  std::string format_ = "auto";
  Learned model_;

  void TearDown() override { store_->clear(""); }

  void save(const std::string& key, std::string_view text) { store_->save(key, as_bytes(text)); }

  /// A safetensors file of images from `first` on, of which every third is class 1.
  void save_images(const std::string& key, std::size_t rows, std::size_t side, std::uint8_t first) {
    std::vector<std::uint8_t> pixels(rows * side * side);
    std::iota(pixels.begin(), pixels.end(), first);
    std::vector<std::int64_t> labels(rows);
    for (std::size_t r = 0; r < rows; ++r) labels[r] = r % 3 == 0;
    tensor::SafetensorsWriter writer;
    writer.add<std::uint8_t>("image", {rows, 1, side, side}, pixels);
    writer.add<std::int64_t>("labels", {rows}, labels);
    const Buffer bytes = writer.serialize();
    store_->save(key, bytes);
  }

  static Places at(const std::string& what) {
    return Places::parse("memory://part-reading/" + what);
  }

  BlockPlan plan(const std::string& what, std::size_t parts, std::uint64_t block_bytes,
                 std::optional<std::uint64_t> seed = {}) {
    BlockPlan plan{.files = stored_files(at(what)).value(),
                   .block_bytes = block_bytes,
                   .seed = seed,
                   .parts = parts,
                   .format = format_,
                   .options = options_,
                   .model = model_};
    complete(plan, 2);
    return plan;
  }

  /// The parts that so many processes make of it.
  static Together read_together(const BlockPlan& plan, std::size_t processes) {
    Together out;
    std::vector<std::unique_ptr<PartReader>> readers;
    const auto open = [](const std::string& uri) { return storage::open(uri); };
    for (std::size_t p = 0; p < processes; ++p) {
      readers.push_back(std::make_unique<PartReader>(plan, open, p, processes, nullptr));
      out.found.push_back(Findings::from_json(readers.back()->find().to_json(), "findings"));
    }
    out.agreement = Agreement::from_json(readers.front()->agree(out.found).to_json(), "agreement");
    if (!out.agreement.error.empty() || !out.agreement.not_lines.empty()) return out;
    for (std::size_t p = 0; p < processes; ++p)
      for (const std::size_t part : readers[p]->own_parts()) {
        EXPECT_EQ(part, out.parts.size());
        out.parts.push_back(readers[p]->rows(part, out.agreement, out.found[p]));
        EXPECT_EQ(out.parts.back().rows(), out.agreement.part_rows[part]);
      }
    return out;
  }

  /// Blocks of many sizes, parts and processes in the files' order give what read() gives.
  void expect_as_read(const std::string& what) {
    const Dataset whole = model_.features > 0 || !model_.tensors.empty()
                              ? read_for(model_, at(what), format_, 1, nullptr, options_)
                              : read(at(what), format_, 1, nullptr, options_);
    for (const std::uint64_t block_bytes : {7U, 64U, 1000U, 100000U})
      for (const auto& [parts, processes] : {std::pair(1, 1), {2, 2}, {3, 2}, {7, 3}}) {
        SCOPED_TRACE(
            fmt::format("{} bytes, {} parts, {} processes", block_bytes, parts, processes));
        const Together got = read_together(plan(what, parts, block_bytes), processes);
        if (got.agreement.error.find("too few for") != std::string::npos) continue;
        ASSERT_EQ(got.agreement.error, "");
        ASSERT_EQ(got.parts.size(), static_cast<std::size_t>(parts));
        const Dataset all = concatenate(got.parts);
        EXPECT_TRUE(same(all, whole));
        EXPECT_EQ(tensor::is_sparse(all.features), tensor::is_sparse(whole.features));
        EXPECT_EQ(names_in(all), names_in(whole));
      }
  }

  std::string error_of_reading(const BlockPlan& plan) {
    return read_together(plan, plan.parts).agreement.error;
  }
};

std::string libsvm_rows(int rows, int features) {
  std::string text;
  for (int r = 0; r < rows; ++r) {
    text += std::to_string(r * 2 / rows);
    for (int f = 1 + r % 3; f <= features; f += 1 + (r * f) % 4)
      text += fmt::format(" {}:{}", f, (r * 31 + f) % 17 / 4.0 + 0.25);
    text += "\n";
  }
  return text;
}

std::string csv_rows(int rows) {
  std::string text = "age,colour,label,height\n";
  for (int r = 0; r < rows; ++r)
    text += fmt::format("{},{},{},{}\n", r % 50,
                        std::vector{"red", "green", "blue", "grey"}[r * r % 7 % 4], r % 3, r / 8.0);
  return text;
}

TEST_F(PartReading, LibsvmTextDenseAndSparse) {
  save("dense", libsvm_rows(200, 20));
  expect_as_read("dense");
  save("sparse", libsvm_rows(200, 300));
  expect_as_read("sparse");
  save("no-end", libsvm_rows(40, 10) + "1 3:7");
  expect_as_read("no-end");
  save("mark", "\xef\xbb\xbf" + libsvm_rows(50, 10));
  expect_as_read("mark");
  save("targets", "1 1:2\n2 1:3\n3 2:1\n0.5 1:1\n7 1:5\n");
  expect_as_read("targets");
  save("base-0", "1 0:2 3:1\n0 1:3\n1 2:1 7:1\n");
  expect_as_read("base-0");
}

TEST_F(PartReading, TablesWithCategoriesAndTextLabels) {
  save("table.csv", csv_rows(300));
  expect_as_read("table.csv");
  options_.parse("label", "colour", "test");
  expect_as_read("table.csv");
  options_ = format_options();
  save("plain.csv", "1,2,3\n0,4,5\n1,6,7\n0,8,9.5\n");
  expect_as_read("plain.csv");
  save("carets", "a^b^label\n1^2^0\n3^4.5^1\n6^7^1\n");
  options_.parse("delimiter", "^", "test");
  expect_as_read("carets");
  options_ = format_options();
  save("texts.csv", "no,red,3\nyes,blue,5\nno,green,7\nyes,red,9.5\nmaybe,blue,1\n");
  expect_as_read("texts.csv");
}

TEST_F(PartReading, MissingValuesAreFilledByTheMeansOfAllBlocks) {
  save("gaps.csv", "y,a,b\n1,,2\n0,3,\n1,5,NA\n0,,\n1,4,6\n0,,\n");
  for (const char* how : {"mean", "zero"}) {
    options_.parse("missing", how, "test");
    expect_as_read("gaps.csv");
  }
  // Columns that look like texts of another one.
  save("equals.csv", "y,a=1,a=2,b\n1,,2,x\n0,3,,y\n1,5,NA,y\n0,,,x\n1,4,6,x\n0,,,x\n");
  options_.parse("missing", "mean", "test");
  expect_as_read("equals.csv");
  save("empty.csv", "y,a,b\n1,,2\n0,,\n1,,3\n");
  EXPECT_THAT(error_of_reading(plan("empty.csv", 2, 8)),
              HasSubstr("column 'a': every value is missing"));
}

TEST_F(PartReading, ColumnsThatAreConstantInAllBlocksAreTold) {
  std::string text = "y,a,b,c\n";
  for (int r = 0; r < 60; ++r) text += fmt::format("{},1.5,{},{}\n", r % 2, r, r < 30 ? 3 : 4);
  save("table.csv", text);
  const Together got = read_together(plan("table.csv", 3, 64), 3);
  ASSERT_EQ(got.agreement.notices.size(), 1U);
  EXPECT_THAT(got.agreement.notices[0], HasSubstr("a column has the same value in all 60 rows"));
  EXPECT_THAT(got.agreement.notices[0], HasSubstr(": 'a'; remove it"));
}

/// In the words of one process, whatever the columns are called.
TEST_F(PartReading, ConstantColumnsAreToldInTheOrderOfTheColumns) {
  const std::string long_name(60, 'n');
  std::string named = "y,zeta,x," + long_name + "1," + long_name + "2,alpha,3\n", numbered;
  for (int r = 0; r < 60; ++r) {
    named += fmt::format("{},1.5,{},7,{},2,9\n", r % 2, r, r);
    numbered += fmt::format("{} 2:4 3:{} 5:1 11:3\n", r % 2, r + 1);
  }
  save("named.csv", named);
  save("numbered", numbered);
  for (const char* name : {"named.csv", "numbered"}) {
    const Together got = read_together(plan(name, 3, 64), 3);
    ASSERT_EQ(got.agreement.notices.size(), 1U);
    EXPECT_EQ(got.agreement.notices[0], column_notices(at(name).display(), read(at(name))).at(0));
  }
}

TEST_F(PartReading, SeveralFilesAndFilesThatCannotBeCut) {
  save("days/part-0.csv", csv_rows(100));
  save("days/part-1.csv", "height,label,age,colour\n1,2,3,pink\n4,0,6,red\n");
  save("days/part-2.csv", "");
  save("days/part-3.csv", csv_rows(31));
  save("days/_SUCCESS", "");
  expect_as_read("days");
  expect_as_read("days/part-*.csv");
  save("packed.csv.gz", gzipped(csv_rows(60)));
  save("other.csv", csv_rows(70));
  for (const char* places : {"packed.csv.gz", "packed.csv.gz,memory://part-reading/other.csv",
                             "other.csv,memory://part-reading/packed.csv.gz"})
    expect_as_read(places);
}

TEST_F(PartReading, TestRowsAreReadForTheModel) {
  save("table.csv", csv_rows(300));
  const Dataset trained = read(at("table.csv"));
  model_ = {trained.cols(), trained.names};
  save("test.csv", "height,extra,colour,label,age\n1,9,blue,2,3\n4,9,pink,0,6\n7,9,red,1,2\n");
  expect_as_read("test.csv");
  save("rows.csv", "height,colour,age\n1,blue,3\n4,red,6\n2,red,1\n5,red,5\n");
  expect_as_read("rows.csv");
}

TEST_F(PartReading, RowsHaveTheWeightsOfTheirColumn) {
  options_.parse("weight_column", "height", "test");
  save("days/1.csv", csv_rows(80));
  save("days/2.csv", "label,height,age,colour\n1,2,3,blue\n2,4.5,6,red\n");
  expect_as_read("days");
  EXPECT_FALSE(read_together(plan("days", 2, 64), 2).parts[1].weights.empty());
  // Rows for a model need none.
  model_ = {read(at("days"), format_, 1, nullptr, options_).cols()};
  save("test.csv", "label,age,colour\n1,3,blue\n2,6,red\n");
  model_.names = read(at("days"), format_, 1, nullptr, options_).names;
  expect_as_read("test.csv");
}

TEST_F(PartReading, TensorsAreReadFileByFile) {
  save_images("images/0.safetensors", 7, 4, 0);
  save_images("images/1.safetensors", 5, 4, 100);
  expect_as_read("images");
  const Together got = read_together(plan("images", 3, 1000), 2);
  EXPECT_EQ(got.agreement.tensors.text(), "image: uint8 [1, 4, 4]");
  model_ = {.tensors = got.agreement.tensors.inputs};
  save_images("test.safetensors", 6, 4, 50);
  expect_as_read("test.safetensors");
}

TEST_F(PartReading, FilesOfOneSetHaveTheSameTensors) {
  save_images("images/0.safetensors", 7, 4, 0);
  save_images("images/1.safetensors", 5, 3, 100);
  EXPECT_THAT(error_of_reading(plan("images", 2, 1000)),
              testing::AllOf(HasSubstr("0.safetensors"), HasSubstr("uint8 [1, 4, 4]"),
                             HasSubstr("1.safetensors"), HasSubstr("uint8 [1, 3, 3]"),
                             HasSubstr("--image-size")));
}

/// Row numbers do not depend on the number of parts, and a sorted file is mixed.
TEST_F(PartReading, AnOrderThatIsDrawnIsTheSameForAllNumbersOfParts) {
  save("sorted", libsvm_rows(4000, 20));
  const Dataset one = concatenate(read_together(plan("sorted", 1, 512, 7), 1).parts);
  std::multiset<std::vector<float>> before, after;
  for (const auto& row : to_rows(read(at("sorted")))) before.insert(row);
  for (const auto& row : to_rows(one)) after.insert(row);
  EXPECT_EQ(before, after);
  for (const std::size_t parts : {2U, 5U, 8U}) {
    const Together got = read_together(plan("sorted", parts, 512, 7), parts);
    EXPECT_TRUE(same(concatenate(got.parts), one)) << parts;
    for (const Dataset& part : got.parts) {
      const auto ones = std::count(part.labels.begin(), part.labels.end(), 1);
      EXPECT_NEAR(static_cast<double>(ones) / static_cast<double>(part.rows()), 0.5, 0.25);
    }
  }
  const Dataset other = concatenate(read_together(plan("sorted", 1, 512, 8), 1).parts);
  EXPECT_FALSE(same(other, one));
}

TEST_F(PartReading, FaultsNameTheirLineAndRow) {
  std::string rows = csv_rows(100);
  const std::size_t at = rows.find("\n48,");
  rows.replace(at + 1, 2, "old");
  save("bad.csv", rows);
  save("bad.libsvm", libsvm_rows(60, 10) + "1 3:x\n" + libsvm_rows(60, 10) + "1 2:\n");
  for (const char* name : {"bad.csv", "bad.libsvm"}) {
    const std::string whole = error_of([&] { read(PartReading::at(name)); });
    for (const std::uint64_t bytes : {16U, 100U, 3000U})
      EXPECT_EQ("data_corrupt: " + error_of_reading(plan(name, 2, bytes)), whole);
  }
}

TEST_F(PartReading, RowsOfSeveralLinesCannotBeCut) {
  save("quoted.csv", "y,text\n1,\"a\nb\"\n0,c\n1,c\n");
  BlockPlan cut = plan("quoted.csv", 2, 8);
  EXPECT_EQ(read_together(cut, 2).agreement.not_lines, std::vector<std::uint64_t>{0});
  cut.files[0].can_be_cut = false;
  const Together got = read_together(cut, 2);
  ASSERT_EQ(got.agreement.error, "");
  EXPECT_TRUE(same(concatenate(got.parts), read(at("quoted.csv"))));
  // One process reads the file, whose rows are in two parts.
  EXPECT_EQ(got.found[1].blocks.size(), 0U);
}

TEST_F(PartReading, WhatChangesMeanwhileIsRefused) {
  save("rows", libsvm_rows(100, 10));
  const BlockPlan before = plan("rows", 2, 64);
  const auto open = [](const std::string& uri) { return storage::open(uri); };
  PartReader reader(before, open, 0, 1, nullptr);
  const Findings found = reader.find();
  const Agreement agreement = reader.agree({found});
  std::string other = libsvm_rows(100, 10);
  other[0] = '3';
  save("rows", other);
  EXPECT_THAT(error_of([&] { reader.rows(0, agreement, found); }), HasSubstr("was changed"));
  save("rows", libsvm_rows(90, 10));
  EXPECT_THAT(error_of([&] { PartReader(before, open, 0, 1, nullptr).find(); }),
              HasSubstr("was changed meanwhile"));
}

TEST_F(PartReading, LabelsOfSomeRowsOnly) {
  save("some", "1 1:2\n0 1:3\n1:4\n1:5\n");
  EXPECT_THAT(error_of_reading(plan("some", 2, 7)), HasSubstr("label"));
}

TEST_F(PartReading, MorePartsThanBlocksHaveRows) {
  save("few", "1 1:2\n0 1:3\n");
  EXPECT_THAT(error_of_reading(plan("few", 5, 6)), HasSubstr("are too few for 5 parts"));
}

}  // namespace
}  // namespace lambdaml::data
