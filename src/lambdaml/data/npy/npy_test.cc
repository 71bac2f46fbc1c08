#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using namespace test;
using testing::HasSubstr;
using Rows = std::vector<std::vector<float>>;

/// As numpy.save() writes it.
std::string npy_of(std::string_view type, std::string_view shape, std::string_view values,
                   bool fortran = false, int version = 1) {
  std::string header = fmt::format("{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}", type,
                                   fortran ? "True" : "False", shape);
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string out("\x93NUMPY", 6);
  out += static_cast<char>(version);
  out += '\0';
  out += static_cast<char>(header.size());
  out += static_cast<char>(header.size() >> 8U);
  if (version > 1) out.append(2, '\0');
  return out + header + std::string(values);
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

/// As numpy.savez() writes it: nothing is compressed.
std::string npz_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out;
  std::string directory;
  const auto number = [](std::string& to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i, value >>= 8) to += static_cast<char>(value);
  };
  for (const auto& [name, content] : files) {
    std::string fields;
    number(fields, 20, 2);
    number(fields, 0, 8);
    number(
        fields,
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())),
        4);
    number(fields, content.size(), 4);
    number(fields, content.size(), 4);
    number(fields, name.size(), 2);
    number(fields, 0, 2);
    directory += "PK\x01\x02";
    number(directory, 20, 2);
    directory += fields;
    number(directory, 0, 10);
    number(directory, out.size(), 4);
    directory += name;
    out += "PK\x03\x04" + fields + name + content;
  }
  const std::size_t begin = out.size();
  out += directory + "PK\x05\x06";
  number(out, 0, 4);
  number(out, files.size(), 2);
  number(out, files.size(), 2);
  number(out, directory.size(), 4);
  number(out, begin, 4);
  number(out, 0, 2);
  return out;
}

Dataset parsed_npy(const std::string& bytes, const char* label = "") {
  Options options = format_options();
  options.parse("label", label, "--label");
  return read_with(registry().get("npy"), shared(bytes), {.what = "FILE"}, options);
}

TEST(Npy, AllTypesOfNumbers) {
  const Rows rows = {{1, 2, 3}, {4, 5, 6}};
  const std::pair<const char*, std::string> arrays[] = {
      {"'<f4'", raw<float>({1, 2, 3, 4, 5, 6})},
      {"'<f8'", raw<double>({1, 2, 3, 4, 5, 6})},
      {"'<f2'", raw<std::uint16_t>({0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600})},
      {"'>f4'",
       std::string("\x3f\x80\0\0\x40\0\0\0\x40\x40\0\0\x40\x80\0\0\x40\xa0\0\0\x40\xc0\0\0", 24)},
      {"'>i2'", std::string("\0\1\0\2\0\3\0\4\0\5\0\6", 12)},
      {"'|i1'", raw<std::int8_t>({1, 2, 3, 4, 5, 6})},
      {"'|u1'", raw<std::uint8_t>({1, 2, 3, 4, 5, 6})},
      {"'<i2'", raw<std::int16_t>({1, 2, 3, 4, 5, 6})},
      {"'<u2'", raw<std::uint16_t>({1, 2, 3, 4, 5, 6})},
      {"'<i4'", raw<std::int32_t>({1, 2, 3, 4, 5, 6})},
      {"'<u4'", raw<std::uint32_t>({1, 2, 3, 4, 5, 6})},
      {"'<i8'", raw<std::int64_t>({1, 2, 3, 4, 5, 6})},
      {"'<u8'", raw<std::uint64_t>({1, 2, 3, 4, 5, 6})}};
  for (const auto& [type, values] : arrays) {
    EXPECT_EQ(to_rows(parsed_npy(npy_of(type, "(2, 3)", values))), rows) << type;
    EXPECT_EQ(to_rows(parsed_npy(npy_of(type, "(2, 3)", values, false, 2))), rows) << type;
  }
  EXPECT_EQ(to_rows(parsed_npy(npy_of("'|b1'", "(2, 1)", std::string("\1\0", 2)))),
            (Rows{{1}, {0}}));
  EXPECT_EQ(to_rows(parsed_npy(npy_of("'<i4'", "(2,)", raw<std::int32_t>({-7, 9})))),
            (Rows{{-7}, {9}}));
  // Halves below 2^-14, and negative ones.
  EXPECT_EQ(to_rows(parsed_npy(npy_of("'<f2'", "(1, 2)", raw<std::uint16_t>({0x0001, 0xc500})))),
            (Rows{{5.9604645e-8F, -5}}));
}

TEST(Npy, FortranOrder) {
  EXPECT_EQ(to_rows(parsed_npy(npy_of("'<f4'", "(2, 3)", raw<float>({1, 4, 2, 5, 3, 6}), true))),
            (Rows{{1, 2, 3}, {4, 5, 6}}));
}

TEST(Npy, AColumnMayBeTheLabel) {
  const Dataset data = parsed_npy(npy_of("'<f4'", "(2, 3)", raw<float>({1, 2, 3, 4, 5, 6})), "-1");
  EXPECT_EQ(to_rows(data), (Rows{{1, 2}, {4, 5}}));
  EXPECT_EQ(to_labels(data), (std::vector<std::int32_t>{3, 6}));
  EXPECT_THAT(error_of([] { parsed_npy(npy_of("'<f4'", "(1, 1)", raw<float>({1})), "1"); }),
              HasSubstr("FILE: --label 1: there are 1 columns"));
  EXPECT_THAT(error_of([] { parsed_npy(npy_of("'<f4'", "(1, 1)", raw<float>({1})), "y"); }),
              HasSubstr("FILE: --label 'y': its columns have no names; give an index, from 0"));
}

TEST(Npz, HasRowsAndLabels) {
  const std::string x = npy_of("'<f4'", "(2, 2)", raw<float>({1, 2, 3, 4}));
  const std::string classes = npy_of("'<i8'", "(2,)", raw<std::int64_t>({1, 0}));
  const std::string reals = npy_of("'<f8'", "(2, 1)", raw<double>({1.5, 2}));
  const Dataset data = parsed_npy(npz_of({{"X.npy", x}, {"y.npy", classes}}));
  EXPECT_EQ(to_rows(data), (Rows{{1, 2}, {3, 4}}));
  EXPECT_EQ(to_labels(data), (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(to_targets(parsed_npy(npz_of({{"y.npy", reals}, {"X.npy", x}}))),
            (std::vector<float>{1.5, 2}));
  EXPECT_FALSE(parsed_npy(npz_of({{"X.npy", x}})).labelled());
  EXPECT_TRUE(registry().get("npy").recognizes(as_bytes(npz_of({{"X.npy", x}}))));
  EXPECT_FALSE(registry().get("npy").recognizes(as_bytes(npz_of({{"a.txt", x}}))));
  EXPECT_THAT(error_of([&] {
                parsed_npy(npz_of({{"X.npy", x}, {"y.npy", "?"}}));
              }),
              HasSubstr("FILE, y: it is no .npy or .npz file"));
  const std::string short_y = npy_of("'<i8'", "(1,)", raw<std::int64_t>({1}));
  EXPECT_THAT(error_of([&] {
                parsed_npy(npz_of({{"X.npy", x}, {"y.npy", short_y}}));
              }),
              HasSubstr("FILE, y: it has 1 labels, and FILE has 2 rows"));
}

TEST(Npz, HasWeights) {
  const std::string x = npy_of("'<f4'", "(2, 1)", raw<float>({1, 2}));
  const std::string y = npy_of("'<i8'", "(2,)", raw<std::int64_t>({1, 0}));
  const std::string w = npy_of("'<f8'", "(2,)", raw<double>({0.5, 0}));
  const std::string bytes = npz_of({{"X.npy", x}, {"y.npy", y}, {"sample_weight.npy", w}});
  const auto read = [](const std::string& bytes, const char* column, bool for_model = false) {
    Options options = format_options();
    options.parse("weight_column", column, "--weight-column");
    ReadOptions how{.what = "FILE"};
    if (for_model) how.features = 1;
    return read_with(registry().get("npy"), shared(bytes), how, options);
  };
  for (const char* column : {"", "sample_weight"}) {
    const Dataset data = read(bytes, column);
    EXPECT_EQ(to_weights(data), (std::vector<float>{0.5, 0}));
    EXPECT_EQ(to_labels(data), (std::vector<std::int32_t>{1, 0}));
    EXPECT_EQ(to_rows(data), (Rows{{1}, {2}}));
  }
  EXPECT_TRUE(read(bytes, "none").weights.empty());
  EXPECT_TRUE(read(bytes, "", true).weights.empty());
  EXPECT_EQ(to_weights(read(npz_of({{"X.npy", x}, {"w.npy", w}}), "w")),
            (std::vector<float>{0.5, 0}));
  EXPECT_THAT(error_of([&] { read(bytes, "w"); }),
              HasSubstr("FILE: --weight-column 'w': there is no such array"));
  EXPECT_THAT(error_of([&] { read(x, "sample_weight"); }),
              HasSubstr("FILE: its rows have no weights: --weight-column 'sample_weight' is for a "
                        "column of a CSV or TSV file, an array of an .npz file"));
  const auto with = [&](const std::string& weights) {
    return error_of([&] { read(npz_of({{"X.npy", x}, {"sample_weight.npy", weights}}), ""); });
  };
  EXPECT_THAT(with(npy_of("'<f4'", "(2,)", raw<float>({1, -0.5}))),
              HasSubstr("FILE, sample_weight: row 2: the weight -0.5 is negative"));
  EXPECT_THAT(with(npy_of("'<f4'", "(1,)", raw<float>({1}))),
              HasSubstr("FILE, sample_weight: it has 1 weights for 2 rows"));
  EXPECT_THAT(with(npy_of("'<f4'", "(2, 2)", raw<float>({1, 1, 1, 1}))),
              HasSubstr("FILE, sample_weight: weights are one number per row"));
  EXPECT_THAT(
      with(npy_of("'<f4'", "(2,)", raw<float>({1, std::numeric_limits<float>::quiet_NaN()}))),
      HasSubstr("FILE, sample_weight: row 2: nan is not a finite"));
}

TEST(Npy, WhatIsWrongIsSaid) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::pair<std::string, const char*> cases[] = {
      {npy_of("'|O'", "(2, 2)", "abcd"),
       "its array holds objects, which are not read; save it as numbers"},
      {npy_of("'<U3'", "(2,)", "abcd"), "its array holds texts, which are not read; number them"},
      {npy_of("'<c8'", "(1,)", "abcdefgh"), "complex numbers"},
      {npy_of("'<M8[ns]'", "(1,)", "abcdefgh"), "times"},
      {npy_of("'<f16'", "(1,)", std::string(16, 'a')), "values of the type '<f16'"},
      {npy_of("[('a', '<f4')]", "(1,)", "abcd"), "records"},
      {npy_of("'<f4'", "(2, 2)", raw<float>({1, 2, 3, nan})),
       "reading FILE: row 2, column 1: nan is not a finite 32-bit number: fill or remove it"},
      {npy_of("'<f8'", "(1, 2)", raw<double>({1, 1e39})),
       "row 1, column 1: inf is not a finite 32-bit number"},
      {npy_of("'<f4'", "(2, 3)", raw<float>({1, 2})), "fewer than its shape has"},
      {npy_of("'<f4'", "(2, 3, 4)", raw<float>({1, 2})), "fewer than its shape has"},
      {npy_of("'<f4'", "()", raw<float>({1})), "its array has 0 dimensions"},
      {npy_of("'<f4'", "(99999999999, 99999999999)", ""), "its shape is too large"},
      {npy_of("'<f4'", "(-1, 2)", ""), "its shape is none"},
      {npy_of("'<f4'", "(1, 1)", raw<float>({1})).substr(0, 40), "it ends in its header"},
      {std::string("\x93NUMPY\x01\0\x02\0{}", 12), "its header has no 'descr'"},
  };
  for (const auto& [bytes, why] : cases)
    EXPECT_THAT(error_of([&, b = bytes] { parsed_npy(b); }), HasSubstr(why));
}

TEST(NpyPair, LabelsLieBeside) {
  const TemporaryFolder folder;
  const auto store = storage::open(Uri::parse(folder.path().string()));
  store->save("X.npy", as_bytes(npy_of("'<f4'", "(2, 1)", raw<float>({1, 2}))));
  store->save("y.npy", as_bytes(npy_of("'<i8'", "(2,)", raw<std::int64_t>({5, 6}))));
  store->save("X_test.npy", as_bytes(npy_of("'<f4'", "(1, 1)", raw<float>({3}))));
  store->save("labels.txt", as_bytes("0.5\n1\n"));
  const Uri at = Uri::parse(folder.path().string());
  std::vector<SourceFile> files;
  for (const Uri& uri : {at, at / "X.npy"})
    EXPECT_EQ(to_labels(data::read(uri, "auto", 1, &files)), (std::vector<std::int32_t>{5, 6}));
  EXPECT_EQ(files.size(), 4U);  // a changed y.npy is noticed when a job is resumed
  EXPECT_FALSE(data::read(at / "X_test.npy").labelled());
  Options options = format_options();
  options.parse("labels_file", (folder.path() / "labels.txt").string(), "--labels-file");
  EXPECT_EQ(to_targets(data::read(at / "X.npy", "auto", 1, nullptr, options)),
            (std::vector<float>{0.5, 1}));
  EXPECT_THAT(error_of([&] { data::read(at / "X_test.npy", "auto", 1, nullptr, options); }),
              HasSubstr("labels.txt: it has 2 labels, and"));
}

TEST(Npz, OtherArraysAreTensorsUnderTheirNames) {
  const std::string image = npy_of("'|u1'", "(2, 1, 2, 2)", std::string("\1\2\3\4\5\6\7\10", 8));
  const std::string tokens = npy_of("'<i8'", "(2, 3)", raw<std::int64_t>({1, 2, 3, 4, 5, 6}));
  const std::string labels = npy_of("'<i8'", "(2,)", raw<std::int64_t>({7, -1}));
  const Dataset rows =
      parsed_npy(npz_of({{"image.npy", image}, {"tokens.npy", tokens}, {"label.npy", labels}}));
  EXPECT_EQ(rows.tensor_shapes().text(), "image: uint8 [1, 2, 2], tokens: int64 [3]");
  EXPECT_EQ(rows.tensors[0].row(1)[0], std::byte{5});
  std::int64_t token = 0;
  std::memcpy(&token, rows.tensors[1].row(1), sizeof token);
  EXPECT_EQ(token, 4);
  EXPECT_THAT(to_labels(rows), testing::ElementsAre(7, -1));
  // What to learn may be named, and have any shape.
  const Dataset other = parsed_npy(
      npz_of({{"image.npy", image}, {"tokens.npy", tokens}, {"label.npy", labels}}), "tokens");
  EXPECT_EQ(other.tensor_shapes().text(),
            "image: uint8 [1, 2, 2], label: int64 [], to learn tokens: int64 [3]");
  EXPECT_TRUE(other.labels.empty());
  EXPECT_TRUE(other.labelled());
  EXPECT_THAT(error_of([&] {
                parsed_npy(npz_of({{"image.npy", image}}), "imagee");
              }),
              HasSubstr("it has no such array, did you mean"));
  const std::string reals = npy_of("'<f2'", "(2, 1)", raw<std::uint16_t>({0x3c00, 0x3800}));
  EXPECT_THAT(to_targets(parsed_npy(npz_of({{"image.npy", image}, {"y.npy", reals}}))),
              testing::ElementsAre(1.0F, 0.5F));
}

TEST(Npz, FortranOrderOfAnyRank) {
  // array[i][j][k] = 100 i + 10 j + k, of the shape (2, 3, 2).
  const std::string values =
      raw<std::uint8_t>({0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121});
  const Dataset rows = parsed_npy(npy_of("'|u1'", "(2, 3, 2)", values, true));
  EXPECT_EQ(rows.tensors[0].text(), "X: uint8 [3, 2]");
  EXPECT_EQ(as_text(rows.tensors[0].bytes(2)),
            raw<std::uint8_t>({0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121}));
}

TEST(Npz, ArraysThatDoNotFitAreRefused) {
  const std::string two = npy_of("'|u1'", "(2, 1, 1)", std::string("\1\2", 2));
  const std::string three = npy_of("'|u1'", "(3, 1, 1)", std::string("\1\2\3", 3));
  EXPECT_THAT(
      error_of([&] {
        parsed_npy(npz_of({{"a.npy", two}, {"b.npy", three}}));
      }),
      testing::AllOf(HasSubstr("invalid_argument: "), HasSubstr("'a' has 2 rows and 'b' has 3")));
  const std::string large = npy_of("'<i8'", "(2,)", raw<std::int64_t>({1, 1LL << 40}));
  EXPECT_THAT(error_of([&] {
                parsed_npy(npz_of({{"a.npy", two}, {"y.npy", large}}));
              }),
              testing::AllOf(HasSubstr("data_corrupt: "), HasSubstr("1099511627776 of row 2")));
  const std::string one = npy_of("'<i8'", "()", raw<std::int64_t>({1}));
  EXPECT_THAT(error_of([&] {
                parsed_npy(npz_of({{"a.npy", two}, {"b.npy", one}}));
              }),
              HasSubstr("'b' is one number and no array of rows"));
  EXPECT_THAT(error_of([&] {
                parsed_npy(npz_of({{"y.npy", large}}));
              }),
              HasSubstr("no array besides the one to learn"));
  const std::string infinite = npy_of("'<f4'", "(2, 1, 1)", raw<float>({1, INFINITY}));
  EXPECT_THAT(error_of([&] { parsed_npy(infinite); }), HasSubstr("not finite"));
  const std::string cut = npy_of("'|u1'", "(9, 1, 1)", std::string("\1\2", 2));
  EXPECT_THAT(error_of([&] { parsed_npy(cut); }), HasSubstr("are fewer than its shape has"));
}

TEST(Npz, SeveralTargetsOfFeaturesAreATensor) {
  const std::string x = npy_of("'<f4'", "(2, 2)", raw<float>({1, 2, 3, 4}));
  const std::string y = npy_of("'<f4'", "(2, 3)", raw<float>({1, 2, 3, 4, 5, 6}));
  const Dataset rows = parsed_npy(npz_of({{"X.npy", x}, {"y.npy", y}}));
  EXPECT_EQ(rows.tensor_shapes().text(), "features: float32 [2], to learn y: float32 [3]");
  EXPECT_EQ(rows.rows(), 2U);
  EXPECT_EQ(rows.cols(), 0U);
}

}  // namespace
}  // namespace lambdaml::data
