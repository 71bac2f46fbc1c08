#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;

std::string idx_of(char type, const std::vector<unsigned>& shape, std::string_view values) {
  std::string out{'\0', '\0', type, static_cast<char>(shape.size())};
  for (const unsigned length : shape)
    for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(length >> shift);
  return out + std::string(values);
}

Dataset parsed_idx(const std::string& bytes) {
  return read_with(registry().get("idx"), shared(bytes), {.what = "FILE"}, format_options());
}

std::string pixels(std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += static_cast<char>(i * 37 % 256);
  return out;
}

void save(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  std::ofstream(folder.path() / name, std::ios::binary) << content;
}

TEST(Idx, ImagesAreTensorsOfOneChannel) {
  const Dataset rows = parsed_idx(idx_of(8, {2, 2, 3}, pixels(12)));
  ASSERT_EQ(rows.rows(), 2U);
  EXPECT_EQ(rows.tensors[0].text(), "image: uint8 [1, 2, 3]");
  EXPECT_EQ(as_text(rows.tensors[0].bytes(2)), pixels(12));
  EXPECT_EQ(parsed_idx(idx_of(8, {1, 3, 2, 2}, pixels(12))).tensors[0].text(),
            "image: uint8 [3, 2, 2]");
}

TEST(Idx, OtherTypesAreBigEndian) {
  const Dataset floats = parsed_idx(idx_of(0x0d, {1, 2}, std::string("\x3f\x80\0\0\x40\0\0\0", 8)));
  EXPECT_EQ(to_rows(floats), (std::vector<std::vector<float>>{{1, 2}}));
  const Dataset shorts = parsed_idx(idx_of(0x0b, {2, 1, 1}, std::string("\0\1\xff\xfe", 4)));
  EXPECT_EQ(shorts.tensors[0].text(), "x: int32 [1, 1]");
  std::int32_t value = 0;
  std::memcpy(&value, shorts.tensors[0].row(1), sizeof value);
  EXPECT_EQ(value, -2);
}

TEST(Idx, LabelsAreFoundByTheNamesOfBothFiles) {
  const std::string images = idx_of(8, {3, 2, 2}, pixels(12));
  const std::string labels = idx_of(8, {3}, std::string("\7\0\7", 3));
  for (const auto& [of_images, of_labels] :
       {std::pair("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        std::pair("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        std::pair("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        std::pair("train-images.idx3-ubyte", "train-labels.idx1-ubyte")}) {
    const TemporaryFolder folder;
    const auto content = [](std::string_view name, const std::string& text) {
      return name.ends_with(".gz") ? gzipped(text) : text;
    };
    save(folder, of_images, content(of_images, images));
    save(folder, of_labels, content(of_labels, labels));
    // Those for tests do not belong to the set of the folder.
    save(folder, "t10k-images-idx3-ubyte", idx_of(8, {1, 2, 2}, pixels(4)));
    save(folder, "t10k-labels-idx1-ubyte", idx_of(8, {1}, std::string("\3", 1)));
    std::vector<SourceFile> sources;
    const Dataset by_folder = data::read(Uri::parse(folder.path().string()), "auto", 1, &sources);
    EXPECT_THAT(to_labels(by_folder), ElementsAre(7, 0, 7)) << of_images;
    EXPECT_EQ(by_folder.tensors[0].text(), "image: uint8 [1, 2, 2]");
    EXPECT_EQ(sources.size(), 1U);
    const Dataset by_file = data::read(Uri::parse((folder.path() / of_images).string()));
    EXPECT_TRUE(same(by_file, by_folder));
    EXPECT_THAT(
        to_labels(data::read(Uri::parse((folder.path() / "t10k-images-idx3-ubyte").string()))),
        ElementsAre(3));
  }
}

TEST(Idx, BothFilesHaveAsManyRows) {
  const TemporaryFolder folder;
  save(folder, "train-images-idx3-ubyte", idx_of(8, {3, 2, 2}, pixels(12)));
  save(folder, "train-labels-idx1-ubyte", idx_of(8, {2}, std::string("\7\0", 2)));
  EXPECT_THAT(error_of([&] { data::read(Uri::parse(folder.path().string())); }),
              testing::AllOf(HasSubstr("invalid_argument: "), HasSubstr("it has 2 labels"),
                             HasSubstr("has 3 rows")));
}

TEST(Idx, AFileThatWasCutShortSaysSo) {
  const std::string whole = idx_of(8, {2, 2, 3}, pixels(12));
  for (const std::size_t length : {whole.size() - 1, std::size_t{16}, std::size_t{7}})
    EXPECT_THAT(error_of([&] { parsed_idx(whole.substr(0, length)); }),
                testing::AllOf(testing::StartsWith("data_corrupt: reading FILE: "),
                               HasSubstr("it was cut short")));
  EXPECT_THAT(error_of([&] { parsed_idx(whole + "x"); }), HasSubstr("1 bytes follow"));
  EXPECT_THAT(error_of([&] {
                parsed_idx(idx_of(8, {4000000000, 65535, 65535, 65535, 65535}, "x"));
              }),
              HasSubstr("it was cut short"));
}

TEST(Idx, GoesThroughShards) {
  for (const Dataset& all : {with_labels(images(23, {1, 4, 4})), tensors(23)}) {
    const auto store = storage::open(Uri::parse("memory://idx_goes_through_shards"));
    const Manifest manifest = split(all, 4, *store);
    EXPECT_EQ(manifest.tensors, all.tensor_shapes());
    EXPECT_EQ(manifest.labelled(), all.labelled());
    EXPECT_EQ(Manifest::from_facts(parse_json(json_text(manifest.facts())), "facts").tensors,
              manifest.tensors);
    EXPECT_TRUE(same(data::read(Uri::parse("memory://idx_goes_through_shards")), all));
    EXPECT_TRUE(same(read_part(*store, 2, manifest), take_part(all, 2, 4)));
    store->remove_all(std::vector<std::string>{"0_4", "1_4", "2_4", "3_4", "manifest.json"});
  }
  const auto store = storage::open(Uri::parse("memory://idx_goes_through_shards"));
  EXPECT_THAT(error_of([&] { split(tensors(5), 2, *store, "libsvm"); }),
              HasSubstr("it holds rows of features, and these have tensors (image: uint8 [2, 3]"));
}

}  // namespace
}  // namespace lambdaml::data
