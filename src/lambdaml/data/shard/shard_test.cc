#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "lambdaml/data/testing/test_util.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::data {
namespace {

using test::error_of;
using test::parse_text;

const Plugin& shard() { return registry().get("shard"); }

Dataset load(Buffer bytes, std::size_t threads = 1) {
  return shard().read(std::make_shared<const Buffer>(std::move(bytes)),
                      {"FILE", Form::automatic, threads});
}

TEST(Shard, GivesTheSameDataSetAgain) {
  const Dataset sets[] = {
      parse_text("1 1:0.5 2:0 3:-2.25\n-1 1:0.001 2:1e-20 3:-0\n"),
      parse_text("1 1:0.5 40:-2.25\n-1\n-1\n7 2:1e-20 39:-1 40:3.4028235e38\n"),
      parse_text("1 1:0.5 70000:-2.25\n-1\n"),
      parse_text("1:1 2:2\n2:3\n"),    // unlabelled, dense
      parse_text("1:1 200:2\n2:3\n"),  // unlabelled, sparse
      parse_text("1\n0\n"),            // no features
      parse_text("1\n0\n", Form::sparse),
      parse_text("1 1:1 40:2\n2 3:4\n3 5:6\n").slice(1, 3),
      parse_text("1 1:1\n2 1:4\n3 1:6\n").slice(1, 3),
  };
  for (const Dataset& data : sets) {
    const Dataset again = load(shard().write(data));
    EXPECT_TRUE(test::same(again, data));
    EXPECT_EQ(again.labelled(), data.labelled());
  }
}

TEST(Shard, HasWeights) {
  const std::vector<float> weights{0.5F, 0, 3};
  for (const Form form : {Form::dense, Form::sparse}) {
    Dataset data = parse_text("1 1:1 40:2\n2 3:4\n3 5:6\n", form);
    data.weights = weights;
    EXPECT_TRUE(test::same(load(shard().write(data)), data));
  }
  Dataset bad = parse_text("1 1:1\n2 1:4\n3 1:6\n");
  for (const float wrong :
       {-1.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> values{1, wrong, 1};
    bad.weights = values;
    const Buffer bytes = shard().write(bad);
    EXPECT_NE(error_of([&] { load(Buffer(bytes.view())); }).find("a weight is not a finite number"),
              std::string::npos);
  }
}

TEST(Shard, IsUsedWhereItLies) {
  for (const char* text : {"1 1:1 2:2\n0 2:3\n", "1 1:1 100:2\n0 2:3\n"}) {
    const auto bytes = std::make_shared<const Buffer>(shard().write(parse_text(text)));
    const Dataset data = shard().read(bytes, {"FILE", Form::automatic, 1});
    const auto inside = [&](const void* p) {
      const auto* byte = static_cast<const std::byte*>(p);
      return byte >= bytes->data() && byte < bytes->data() + bytes->size();
    };
    EXPECT_TRUE(inside(data.labels.data()));
    if (const auto* dense = std::get_if<tensor::DenseView>(&data.features))
      EXPECT_TRUE(inside(dense->data));
    else
      EXPECT_TRUE(inside(std::get<tensor::Csr16>(data.features).indices));
  }
}

TEST(Shard, IsReadInAnotherForm) {
  const Buffer bytes = shard().write(parse_text("1 1:1 100:2\n0 2:3\n"));
  const auto shared = std::make_shared<const Buffer>(bytes.view());
  const Dataset dense = shard().read(shared, {"FILE", Form::dense, 1});
  EXPECT_TRUE(test::same(dense, parse_text("1 1:1 100:2\n0 2:3\n", Form::dense)));
}

/// A shard of which single things can be made wrong: 3 rows, 4 features, 5 values.
struct Csr {
  std::vector<std::uint64_t> offsets = {0, 2, 2, 5};
  std::vector<std::uint16_t> indices = {1, 3, 0, 2, 3};
  std::vector<float> values = {1, 2, 3, 4, 5};
  std::vector<std::int32_t> labels = {1, 0, 1};
  std::map<std::string, std::string> metadata = {{"format", "lambdaml-shard"},
                                                 {"version", "1"},
                                                 {"kind", "csr"},
                                                 {"rows", "3"},
                                                 {"features", "4"}};

  Buffer bytes() const {
    tensor::SafetensorsWriter writer;
    for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
    writer.add("offsets", {offsets.size()}, std::span<const std::uint64_t>(offsets));
    writer.add("indices", {indices.size()}, std::span<const std::uint16_t>(indices));
    writer.add("values", {values.size()}, std::span<const float>(values));
    writer.add("labels", {labels.size()}, std::span<const std::int32_t>(labels));
    return writer.serialize();
  }
};

std::string error_of_csr(const std::function<void(Csr&)>& change) {
  Csr csr;
  change(csr);
  return error_of([&] { load(csr.bytes()); });
}

TEST(Shard, AGoodOneIsTaken) {
  EXPECT_EQ(error_of_csr([](Csr&) {}), "");
  // Equal indices side by side, but of two rows.
  EXPECT_EQ(error_of_csr([](Csr& c) {
              c.indices = {1, 3, 3, 0, 2};
            }),
            "data_corrupt: reading FILE: feature indices of a row do not ascend or are beyond the "
            "features; prepare the data set again");
  EXPECT_EQ(error_of_csr([](Csr& c) {
              c.indices = {1, 3, 3};
              c.values = {1, 2, 3};
              c.offsets = {0, 2, 2, 3};
            }),
            "");
}

TEST(Shard, WrongTablesAreRefused) {
  const std::string offsets =
      "data_corrupt: reading FILE: the row offsets do not ascend from 0 to the number of values; "
      "prepare the data set again";
  for (const std::vector<std::uint64_t>& wrong : std::vector<std::vector<std::uint64_t>>{
           {1, 2, 2, 5}, {0, 2, 2, 4}, {0, 2, 2, 6}, {0, 3, 2, 5}, {0, 6, 6, 5}, {0, ~0ULL, 2, 5}})
    EXPECT_EQ(error_of_csr([&](Csr& c) { c.offsets = wrong; }), offsets);

  const std::string indices =
      "data_corrupt: reading FILE: feature indices of a row do not ascend or are beyond the "
      "features; prepare the data set again";
  for (const std::vector<std::uint16_t>& wrong : std::vector<std::vector<std::uint16_t>>{
           {3, 1, 0, 2, 3}, {1, 1, 0, 2, 3}, {1, 3, 0, 2, 2}, {1, 4, 0, 2, 3}, {1, 3, 0, 2, 65535}})
    EXPECT_EQ(error_of_csr([&](Csr& c) { c.indices = wrong; }), indices);

  for (const float wrong : {std::nanf(""), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()})
    for (std::size_t k = 0; k < 5; ++k)
      EXPECT_EQ(error_of_csr([&](Csr& c) { c.values[k] = wrong; }),
                "data_corrupt: reading FILE: a value is not finite; prepare the data set again");
}

TEST(Shard, WrongSizesAreRefused) {
  const auto shape = [](const char* name) {
    return fmt::format(
        "data_corrupt: reading FILE: the shape of '{}' does not fit the rows and features; prepare "
        "the data set again",
        name);
  };
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["rows"] = "2"; }), shape("offsets"));
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["rows"] = "9223372036854775807"; }),
            shape("offsets"));
  EXPECT_EQ(error_of_csr([](Csr& c) { c.values.pop_back(); }), shape("values"));
  EXPECT_EQ(error_of_csr([](Csr& c) { c.labels.pop_back(); }), shape("labels"));
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["kind"] = "dense"; }), shape("values"));
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["rows"] = "-3"; }),
            "data_corrupt: reading FILE: the rows '-3' are no count; prepare the data set again");
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["features"] = "2147483649"; }),
            "data_corrupt: reading FILE: more than 2^31 features; prepare the data set again");
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["version"] = "3"; }),
            "data_corrupt: reading FILE: shard version '3' is not the known 2; prepare the data "
            "set again");
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["version"] = "2"; }),
            "data_corrupt: reading FILE: it has no checksum of itself; prepare the data set again");
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata["kind"] = "coo"; }),
            "data_corrupt: reading FILE: the kind 'coo' is neither dense, csr nor tensors; prepare "
            "the data set again");
  EXPECT_EQ(error_of_csr([](Csr& c) { c.metadata.erase("format"); }),
            "data_corrupt: reading FILE: a safetensors file, but not a prepared data set");

  // Rows that take no bytes, so that any number of them would fit.
  tensor::SafetensorsWriter writer;
  for (const auto& [key, value] : Csr().metadata) writer.set_metadata(key, value);
  writer.set_metadata("kind", "dense");
  writer.set_metadata("rows", "1152921504606846976");
  writer.set_metadata("features", "0");
  writer.add("values", {std::size_t{1} << 60, 0}, std::span<const float>());
  EXPECT_EQ(error_of([&] { load(writer.serialize()); }),
            "data_corrupt: reading FILE: rows without features and labels; prepare the data set "
            "again");
}

TEST(Shard, EveryTruncationIsRefused) {
  const Buffer whole = Csr().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Buffer cut(whole.view().first(size));
    EXPECT_THROW(load(std::move(cut)), Error) << size;
  }
}

// Checks run in pieces of vector size, and in blocks of rows and values on threads: a fault must be
// found wherever it lies.
TEST(Shard, AFaultIsFoundAnywhere) {
  constexpr std::size_t kRows = 9000;
  constexpr std::size_t kPerRow = 77;
  Csr csr;
  csr.offsets.assign(1, 0);
  csr.indices.clear();
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t k = 0; k < kPerRow; ++k)
      csr.indices.push_back(static_cast<std::uint16_t>(3 * k));
    csr.offsets.push_back(csr.indices.size());
  }
  csr.values.assign(csr.indices.size(), 1.0F);
  csr.labels.assign(kRows, 1);
  csr.metadata["rows"] = std::to_string(kRows);
  csr.metadata["features"] = std::to_string(3 * kPerRow);
  ASSERT_EQ(error_of([&] { load(csr.bytes()); }), "");
  // 77 · 4096 = 315392 and 2^18 = 262144 are where blocks begin.
  for (const std::size_t at : {1U, 15U, 76U, 78U, 4097U, 32767U, 32768U, 32769U, 40000U, 262143U,
                               262144U, 315391U, 315393U, 630784U, 692999U}) {
    const std::size_t threads = 1 + at % 2;
    Csr equal = csr;
    equal.indices[at] = at % kPerRow == 0 ? equal.indices[at + 1] : equal.indices[at - 1];
    EXPECT_THROW(load(equal.bytes(), threads), Error) << at;
    Csr beyond = csr;
    beyond.indices[at] = 3 * kPerRow;
    EXPECT_THROW(load(beyond.bytes(), threads), Error) << at;
    Csr infinite = csr;
    infinite.values[at] = std::numeric_limits<float>::infinity();
    EXPECT_THROW(load(infinite.bytes(), threads), Error) << at;
  }
}

TEST(Shard, IsRecognizedByItsBeginning) {
  const Buffer bytes = Csr().bytes();
  EXPECT_TRUE(shard().recognizes(bytes.view().first(200)));
  EXPECT_FALSE(shard().recognizes(as_bytes("1 1:1\n0 1:2\n")));
  EXPECT_FALSE(shard().recognizes({}));
}

}  // namespace
}  // namespace lambdaml::data
