#include "lambdaml/data/source.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "lambdaml/base/files.h"
#include "lambdaml/data/foreign.h"
#include "lambdaml/data/summary.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using test::error_of;
using test::parse_text;
using test::same;
using test::to_labels;
using test::to_rows;
using ::testing::HasSubstr;

/// A folder on disk and the store in it.
class Source : public ::testing::Test {
 protected:
  Uri uri(const std::string& name) const { return Uri::parse((folder_.path() / name).string()); }
  std::string text(const std::string& name) const { return (folder_.path() / name).string(); }
  void put(const std::string& name, std::string_view content) const {
    const std::filesystem::path path = folder_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    write_file(path, as_bytes(content));
  }
  std::string error_reading(const std::string& name, std::string_view format = "auto") const {
    return error_of([&] { read(uri(name), format); });
  }

  test::TemporaryFolder folder_;
};

const char* const kDense = "1 1:1 2:2\n0 2:3\n1\n0 1:-1\n1 1:5 2:6\n";

std::string sparse_text() {
  std::string text;
  for (int r = 0; r < 20; ++r)
    text += fmt::format("{} {}:0.5 {}:{}\n", r % 2 == 0 ? -1 : 1, r + 1, r + 30, r);
  return text;
}

TEST_F(Source, ReadsATextFile) {
  put("a.libsvm", kDense);
  EXPECT_TRUE(same(read(uri("a.libsvm")), parse_text(kDense)));
  EXPECT_TRUE(same(read(uri("a.libsvm"), "dense_libsvm"), parse_text(kDense)));
  EXPECT_TRUE(same(read(uri("a.libsvm"), "sparse_libsvm"), parse_text(kDense, Form::sparse)));
  EXPECT_TRUE(same(read(uri("a.libsvm"), "libsvm", 2), parse_text(kDense)));
  EXPECT_FALSE(find_manifest(uri("a.libsvm")).has_value());
}

TEST_F(Source, SaysWhatAFileIsThatIsToBeUnpackedOrConverted) {
  using namespace std::string_literals;
  const std::vector<std::vector<std::string>> files = {
      {"a.zip", "PK\x03\x04\x14\0"s, "a zip archive", "unzip a.zip"},
      {"a.xlsx", "PK\x03\x04\x14\0 [Content_Types].xml"s, "an Excel file", "convert-to csv a.xlsx"},
      {"a.xls", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"s, "an Excel file", "convert-to csv a.xls"},
      {"a.parquet", "PAR1\x15\x04"s, "a Parquet file", "read_parquet('a.parquet')"},
      {"a.arrow", "ARROW1\0\0"s, "an Arrow file", "read_feather('a.arrow').to_csv('a.arrow.csv'"},
      {"a.lz4", "\x04\x22\x4d\x18\x64\x40", "an LZ4 file", "lz4 -d a.lz4"},
      {"a.db", "SQLite format 3\0\x10"s, "an SQLite database", "sqlite3 -header -csv a.db"},
      {"a.pkl", "\x80\x04\x95\x09\0"s, "a pickled Python object", "numpy.savez"},
      {"a.tar", "a" + std::string(256, '\0') + "ustar\0"s, "a tar archive", "tar xf a.tar"},
      {"u32.txt", "\xff\xfe\0\0\x31\0\0\0"s, "UTF-32", "iconv -f UTF-32 -t UTF-8 u32.txt"},
      {"le.txt", "\xff\xfe\x31\0\x20\0\x31\0\x3a\0"s, "UTF-16", "iconv -f UTF-16 -t UTF-8 le.txt"},
      {"le2.txt", "\x31\0\x20\0\x31\0\x3a\0"s, "UTF-16", "iconv -f UTF-16LE -t UTF-8 le2.txt"},
      {"be2.txt", "\0\x31\0\x20\0\x31\0\x3a"s, "UTF-16", "iconv -f UTF-16BE -t UTF-8 be2.txt"},
      {"be.txt", "\xfe\xff\0\x31\0\x20"s, "UTF-16", "iconv -f UTF-16 -t UTF-8 be.txt"}};
  for (const std::vector<std::string>& file : files) {
    put(file[0], file[1]);
    for (const char* format : {"auto", "csv", "dense_libsvm", "shard", "cifar10"}) {
      const std::string error = error_reading(file[0], format);
      EXPECT_NE(error.find(file[2]), std::string::npos) << format << ": " << error;
      EXPECT_NE(error.find(file[3]), std::string::npos) << format << ": " << error;
    }
  }
}

TEST(Foreign, StandardInputHasNoNameForTheCommandThatConverts) {
  EXPECT_THAT(error_of([] { refuse_foreign(as_bytes("PAR1\x15\x04"), "/dev/stdin"); }),
              HasSubstr("read_parquet('FILE').to_csv('FILE.csv'"));
}

TEST_F(Source, TheRootOfAStoreMayHoldPartsWithoutAManifest) {
  const Uri root = Uri::parse("memory://source-root");
  const auto store = storage::open(root);
  store->save("0_2", as_bytes("1 1:1\n0 2:1\n"));
  store->save("1_2", as_bytes("0 1:2\n"));
  store->save("others/file", as_bytes("anything"));
  const Summary info = summarize(root, "auto", 1);
  EXPECT_EQ(info.rows, 3U);
  EXPECT_EQ(info.features, 2U);
  EXPECT_EQ(info.parts, 2U);
  EXPECT_EQ(info.bytes, 18U);
  store->clear("");
}

TEST_F(Source, ReadsAShardFile) {
  const Dataset data = parse_text(sparse_text());
  put("a", registry().get("shard").write(data).text());
  EXPECT_TRUE(same(read(uri("a")), data));
  EXPECT_TRUE(same(read(uri("a"), "shard"), data));
}

TEST_F(Source, ReadsGzip) {
  const gzFile file = gzopen(text("a.gz").c_str(), "wb");
  ASSERT_NE(file, nullptr);
  gzputs(file, kDense);
  gzclose(file);
  EXPECT_TRUE(same(read(uri("a.gz")), parse_text(kDense)));
  const std::string bytes(read_file(text("a.gz"))->text());
  put("cut", bytes.substr(0, bytes.size() - 9));
  EXPECT_EQ(error_reading("cut"), fmt::format("data_corrupt: unzipping {}: the file ends early; "
                                              "fetch it again",
                                              text("cut")));
}

TEST_F(Source, WhatIsNotThere) {
  put("folder/a.libsvm", kDense);
  put("folder/0_1/a.libsvm", kDense);
  for (const char* name : {"none", "none/deeper", "folder/a.libsvm/deeper"})
    EXPECT_EQ(error_reading(name),
              fmt::format("not_found: reading {}: there is no such file, nor a folder with parts "
                          "{{i}}_{{n}} as `lambdaml data split` makes them",
                          text(name)));
}

TEST_F(Source, DenseRowsOfFewerFeaturesThanTheModelHasAreTold) {
  put("few", "1 1:1\n0 1:2\n");
  for (const char* format : {"dense_libsvm", "sparse_libsvm"}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(read_for({.features = 3}, uri("few"), format).cols(), 3U);
    const bool told =
        testing::internal::GetCapturedStderr().find(
            "few: it has 1 features, and the model 3; the others count as 0") != std::string::npos;
    EXPECT_EQ(told, format == std::string("dense_libsvm"));
  }
}

TEST_F(Source, SeveralFilesAreOneSet) {
  std::filesystem::create_directory(folder_.path() / "spark");
  put("spark/part-00000.csv", "y,a,colour\n1,2,red\n0,3,blue\n");
  put("spark/part-00001.csv", "");
  put("spark/part-00002.csv", "y,a,colour\n");
  put("spark/part-00003.csv", "y,colour,a\n1,green,4\n");
  put("spark/_SUCCESS", "");
  put("spark/.part-00000.csv.crc", "x");
  put("spark/notes.txt", "x");
  for (const std::size_t threads : {1U, 3U})
    for (const std::string place : {"spark", "spark/part-*.csv"}) {
      const Dataset data = data::read(uri(place), "auto", threads);
      EXPECT_EQ(to_rows(data),
                (std::vector<std::vector<float>>{{2, 0, 0, 1}, {3, 1, 0, 0}, {4, 0, 1, 0}}));
      EXPECT_EQ(test::names_in(data).features,
                (std::vector<std::string>{"a", "colour=blue", "colour=green", "colour=red"}));
      EXPECT_EQ(to_labels(data), (std::vector<std::int32_t>{1, 0, 1}));
    }
  EXPECT_NE(error_reading("spark/x-*").find("no file has such a name"), std::string::npos);
}

TEST_F(Source, AFolderOfFilesOfOneKind) {
  std::filesystem::create_directory(folder_.path() / "days");
  put("days/2.libsvm", "1.5 1:3\n");
  put("days/1.libsvm", "1 1:1 2:2\n0 2:3\n");
  put("days/_SUCCESS", "");
  put("days/.1.libsvm.crc", "x");
  EXPECT_EQ(summarize(uri("days"), "auto", 1).parts, 2U);
  EXPECT_EQ(summarize(uri("days"), "auto", 1).bytes, 24U);
  const Dataset data = data::read(uri("days"));
  EXPECT_EQ(to_rows(data), (std::vector<std::vector<float>>{{1, 2}, {0, 3}, {3, 0}}));
  EXPECT_EQ(test::to_targets(data), (std::vector<float>{1, 0, 1.5}));
  put("days/README.md", "x");
  EXPECT_NE(error_reading("days").find("files of several kinds lie there, such as 1.libsvm and "
                                       "README.md; name those of the data set by a pattern"),
            std::string::npos);
}

TEST_F(Source, SeveralPlaces) {
  put("a.csv", "y,a\nno,1\n");
  put("b.csv", "a,y\n2,yes\n");
  const Places both = Places::parse((folder_.path() / "a.csv").string() + "," +
                                    (folder_.path() / "b.csv").string());
  ASSERT_EQ(both.uris.size(), 2U);
  std::vector<SourceFile> files;
  const Dataset data = data::read(both, "auto", 1, &files);
  EXPECT_EQ(files.size(), 2U);
  EXPECT_EQ(to_rows(data), (std::vector<std::vector<float>>{{1}, {2}}));
  EXPECT_EQ(to_labels(data), (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(test::names_in(data).labels, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(summarize(both, "auto", 1).bytes, 19U);
}

TEST(Places, AreSeparatedByCommas) {
  const auto texts = [](std::string_view text) {
    std::vector<std::string> out;
    for (const Uri& uri : Places::parse(text).uris) out.push_back(uri.text());
    return out;
  };
  EXPECT_EQ(texts("s3://b/x,s3://b/y"), (std::vector<std::string>{"s3://b/x", "s3://b/y"}));
  EXPECT_EQ(texts("redis://a:1,b:2/0").size(), 1U);
  EXPECT_EQ(texts("/a,/b,s3://c/d").size(), 3U);
  EXPECT_EQ(texts("-"), (std::vector<std::string>{"file:///dev/stdin"}));
  EXPECT_THROW(Places::parse("a,,b"), Error);
  EXPECT_EQ(texts(Places::parse("/a,/b").text()),
            (std::vector<std::string>{"file:///a", "file:///b"}));
  EXPECT_EQ(Places::parse("/a,/b").display(), "/a and 1 more");
  const test::TemporaryFolder folder;
  const std::string comma = (folder.path() / "a,b.csv").string();
  std::ofstream(comma) << "x";
  EXPECT_EQ(texts(comma).size(), 1U);
}

TEST_F(Source, WhatIsNoData) {
  put("empty", "");
  put("comments", "# nothing\n\n");
  put("binary", std::string_view("\x00\x01\x02", 3));
  put("bad", "1 1:1\n1 2:x\n");
  for (const char* name : {"empty", "comments"})
    EXPECT_EQ(error_reading(name),
              fmt::format("data_corrupt: reading {}: the data set is empty; give one with rows",
                          text(name)));
  EXPECT_EQ(
      error_reading("binary"),
      fmt::format(
          "data_corrupt: reading {}: the bytes look like no known format "
          "(mtx, npy, npz, csv, dense_libsvm, sparse_libsvm, shard, safetensors, images, idx, "
          "cifar10, cifar100); name it by --format",
          text("binary")));
  EXPECT_EQ(error_reading("bad"),
            fmt::format("data_corrupt: {}:2: value 'x' of feature 2 is not a finite number: "
                        "correct it, or leave it out",
                        text("bad")));
  EXPECT_EQ(error_reading("bad", "dens_libsvm"),
            "invalid_argument: unknown data format 'dens_libsvm', did you mean 'dense_libsvm'?");
}

TEST_F(Source, SplitsAndReadsBack) {
  const Dataset sets[] = {parse_text(kDense), parse_text(sparse_text()),
                          parse_text("1:1\n1:2\n2:3\n1:4\n1:5\n")};
  for (const Dataset& data : sets)
    for (const std::string as : {"shard", "libsvm"})
      for (std::size_t n = 1; n <= 5; ++n) {
        const std::string name = fmt::format("{}_{}_{}", as, n, data.cols());
        const auto store = storage::open(uri(name));
        const Manifest manifest = split(data, n, *store, as, 2);
        EXPECT_EQ(manifest.rows(), data.rows());
        EXPECT_EQ(manifest.parts(), n);
        EXPECT_EQ(manifest.features, data.cols());
        EXPECT_EQ(manifest.labels, distinct_labels(data.labels));
        EXPECT_EQ(manifest.format, as);
        const auto found = find_manifest(uri(name));
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(found->to_json(), manifest.to_json());
        std::uint64_t bytes = 0;
        for (const storage::Entry& entry : store->list(""))
          if (entry.key != "manifest.json") bytes += entry.bytes;
        EXPECT_EQ(manifest.bytes, bytes);
        for (std::size_t i = 0; i < n; ++i)
          EXPECT_TRUE(same(read_part(*store, i, manifest), take_part(data, i, n))) << name;
        EXPECT_TRUE(same(read(uri(name), "auto", 2), data)) << name;
        // The original's folders have parts and no manifest.
        store->remove("manifest.json");
        EXPECT_FALSE(find_manifest(uri(name)).has_value());
        EXPECT_TRUE(same(read(uri(name)), data)) << name;
      }
}

TEST_F(Source, MissingValuesAreFilledByTheMeansOfAllFiles) {
  put("set/a.csv", "y,a,b,c\n1,1,,r\n0,,,g\n");
  put("set/b.csv", "y,b,a,c\n1,4,6,b\n0,8,,r\n1,9,2,r\n");
  put("set/c.csv", "y,a,b,c\n");
  put("empty/a.csv", "y,a,b\n1,1,\n0,,\n");
  put("empty/b.csv", "y,a,b\n1,1,\n");
  Options options = format_options();
  options.parse("missing", "mean", "--missing");
  const auto filled = [&](const std::string& places, std::string_view format = "auto") {
    return read(Places::parse(places), format, 2, nullptr, options);
  };
  const std::vector<std::vector<float>> rows = {
      {1, 7, 0, 0, 1}, {3, 7, 0, 1, 0}, {6, 4, 1, 0, 0}, {3, 8, 0, 0, 1}, {2, 9, 0, 0, 1}};
  for (const std::string& places :
       {text("set"), text("set/*.csv"), text("set/a.csv") + "," + text("set/b.csv"),
        text("set/a.csv") + "," + text("set/[bc].csv")}) {
    const Dataset data = filled(places);
    EXPECT_EQ(to_rows(data), rows) << places;
    // A model keeps them.
    EXPECT_EQ(data.names->fills, (std::vector<float>{3, 7, 0, 0, 0})) << places;
  }
  EXPECT_EQ(to_rows(filled(text("set/b.csv"))),
            (std::vector<std::vector<float>>{{4, 6, 1, 0}, {8, 4, 0, 1}, {9, 2, 0, 1}}));
  EXPECT_NE(error_of([&] {
              filled(text("empty"));
            }).find("empty: column 'b': every value is missing: remove the column"),
            std::string::npos);
}

TEST_F(Source, ZerosFillAFileThatHasNoValueOfAColumnInAnyOrder) {
  put("none.csv", "y,a,b\n1,1,\n0,2,\n");
  put("some.csv", "y,a,b\n1,3,4\n0,4,\n");
  Options options = format_options();
  options.parse("missing", "zero", "--missing");
  const auto rows_of = [&](const std::string& first, const std::string& second) {
    return to_rows(
        read(Places::parse(text(first) + "," + text(second)), "auto", 2, nullptr, options));
  };
  using Rows = std::vector<std::vector<float>>;
  EXPECT_EQ(rows_of("none.csv", "some.csv"), (Rows{{1, 0}, {2, 0}, {3, 4}, {4, 0}}));
  EXPECT_EQ(rows_of("some.csv", "none.csv"), (Rows{{3, 4}, {4, 0}, {1, 0}, {2, 0}}));
  EXPECT_THAT(error_of([&] { rows_of("none.csv", "none.csv"); }),
              testing::HasSubstr("column 'b': every value is missing: remove the column"));
}

TEST_F(Source, WeightsGoWithTheirRows) {
  std::string table = "y,a,w\n";
  for (int i = 0; i < 10; ++i) table += fmt::format("{},{},{}\n", i % 2, i, 0.5 * i);
  put("a.csv", table);
  put("b.csv", "y,a,w\n1,10,5\n");
  Options options = format_options();
  options.parse("weight_column", "w", "--weight-column");
  const auto read_it = [&](const std::string& name) {
    return read(Places::parse(text(name)), "auto", 2, nullptr, options);
  };
  const auto fit = [](const Dataset& data) {
    ASSERT_EQ(data.weights.size(), data.rows());
    const std::vector<std::vector<float>> rows = to_rows(data);
    for (std::size_t r = 0; r < rows.size(); ++r) EXPECT_EQ(data.weights[r], 0.5F * rows[r][0]);
  };
  const Dataset whole = read_it("[ab].csv");
  EXPECT_EQ(whole.rows(), 11U);
  fit(whole);
  fit(whole.slice(3, 7));
  fit(in_form(whole, Form::sparse));
  fit(in_form(in_form(whole, Form::sparse), Form::dense));
  fit(with_cols(whole, 3));
  fit(take_rows(whole, std::vector<std::uint32_t>{7, 0, 10}));
  const auto store = storage::open(uri("parts"));
  const Manifest manifest = split(whole, 3, *store);
  EXPECT_EQ(manifest.weights, 27.5);
  fit(read_part(*store, 1, manifest));
  EXPECT_TRUE(same(read(uri("parts")), whole));
  EXPECT_TRUE(same(read_it("parts"), whole));
  // The same rows without weights, or with others, are another set.
  Dataset plain = whole;
  plain.weights = {};
  EXPECT_NE(checksum_of(plain), checksum_of(whole));
  split(plain, 3, *storage::open(uri("plain")));
  EXPECT_FALSE(same(read(uri("plain")), whole));
  EXPECT_EQ(error_of([&] { read_it("plain"); }),
            fmt::format("invalid_argument: {}: its rows have no weights: --weight-column 'w' is "
                        "for a column of a CSV "
                        "or TSV file, an array of an .npz file, or a set that was prepared with it",
                        uri("plain").display()));
  options.parse("weight_column", "none", "--weight-column");
  EXPECT_TRUE(same(read_it("parts"), plain));
}

TEST_F(Source, WeightsThatCannotBe) {
  Options options = format_options();
  options.parse("weight_column", "w", "--weight-column");
  const auto error_with = [&](const std::string& name) {
    return error_of([&] { read(Places::parse(text(name)), "auto", 1, nullptr, options); });
  };
  put("zero.csv", "y,a,w\n1,2,0\n0,3,0\n");
  EXPECT_NE(error_with("zero.csv").find("zero.csv: the weights of all rows are 0"),
            std::string::npos);
  put("a.libsvm", kDense);
  EXPECT_NE(error_with("a.libsvm").find("a.libsvm: its rows have no weights: --weight-column 'w'"),
            std::string::npos);
  // Only one of two files has them.
  put("set/part-0.csv", "y,a,w\n1,2,1\n0,3,1\n");
  put("set/part-1.csv", "y,a\n1,2\n");
  EXPECT_NE(error_with("set").find("part-1.csv: --weight-column 'w': there is no such column"),
            std::string::npos);
  // Text files have no place for them.
  put("good.csv", "y,a,w\n1,2,1\n0,3,2\n");
  const Dataset good = read(Places::parse(text("good.csv")), "auto", 1, nullptr, options);
  EXPECT_NE(error_of([&] {
              split(good, 2, *storage::open(uri("t")), "libsvm");
            }).find("libsvm have no place for the rows' weights"),
            std::string::npos);
  EXPECT_TRUE(storage::open(uri("t"))->list("").empty());
}

TEST_F(Source, SplitsInAnyStore) {
  const Dataset data = parse_text(sparse_text());
  const Uri uri = Uri::parse("memory://data_source_test/set");
  const auto store = storage::open(uri);
  split(data, 3, *store);
  EXPECT_TRUE(same(read(uri), data));
  EXPECT_TRUE(same(read(uri / "1_3"), take_part(data, 1, 3)));
  // Of an earlier cut nothing is left.
  split(data, 2, *store);
  std::vector<std::string> keys;
  for (const storage::Entry& entry : store->list("")) keys.push_back(entry.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"0_2", "1_2", "manifest.json"}));
}

TEST_F(Source, RefusesMorePartsThanRows) {
  const auto store = storage::open(uri("parts"));
  const Dataset data = parse_text(kDense);
  EXPECT_EQ(error_of([&] { split(data, 6, *store); }),
            "invalid_argument: 5 rows cannot be cut in 6 parts: use fewer workers");
  EXPECT_THROW(split(data, 0, *store), Error);
  EXPECT_EQ(error_of([&] { split(data, 2, *store, "libsv"); }),
            "invalid_argument: unknown data format 'libsv', did you mean 'libsvm'?");
  EXPECT_TRUE(store->list("").empty());
  EXPECT_NO_THROW(split(data, 5, *store));
}

TEST_F(Source, AMissingPartIsNamed) {
  const Dataset data = parse_text(sparse_text());
  const auto store = storage::open(uri("set"));
  const Manifest manifest = split(data, 4, *store);
  store->remove("2_4");
  EXPECT_EQ(error_reading("set"),
            fmt::format("not_found: reading {}: part 2_4 is missing; prepare the data set again",
                        store->describe()));
  store->remove("manifest.json");
  EXPECT_EQ(error_reading("set"),
            fmt::format("not_found: reading {}: part 2_4 is missing; 3 of 4 parts are there",
                        text("set")));
  EXPECT_EQ(error_of([&] { read_part(*store, 4, manifest); }),
            fmt::format("invalid_argument: reading {}/4_4: there are 4 parts", store->describe()));
}

TEST_F(Source, PartsOfTwoDataSetsAreRefused) {
  put("set/0_1", kDense);
  put("set/0_2", kDense);
  put("set/1_2", kDense);
  put("set/README", "what the parts are");
  EXPECT_EQ(error_reading("set"),
            fmt::format("invalid_argument: reading {}: parts of two data sets lie there, of 1 and "
                        "of 2 parts; keep one",
                        text("set")));
}

TEST_F(Source, PartsAreDealtBackWhateverTheirSizeAndForm) {
  put("set/0_3", "1 1:1\n2 1:2\n3 1:3\n");
  put("set/1_3", "4 50:4\n");
  put("set/2_3", "5 70000:5\n6\n");
  const Dataset data = read(uri("set"));
  EXPECT_EQ(test::to_labels(data), (std::vector<std::int32_t>{1, 4, 5, 2, 6, 3}));
  ASSERT_TRUE(std::holds_alternative<tensor::Csr32>(data.features));
  EXPECT_EQ(data.cols(), 70000U);
  const auto& csr = std::get<tensor::Csr32>(data.features);
  EXPECT_EQ(csr.indices[2], 69999U);
  EXPECT_EQ(csr.values[2], 5.0F);
  put("set/1_3", "4:1\n");
  EXPECT_EQ(error_reading("set"),
            fmt::format("data_corrupt: reading {}: some parts have labels and some have none",
                        text("set")));
}

TEST_F(Source, APartThatDoesNotFitTheManifestIsRefused) {
  const Dataset data = parse_text(sparse_text());
  const auto store = storage::open(uri("set"));
  Manifest manifest = split(data, 2, *store);
  manifest.part_files.clear();  // the first thing that such a part does not fit
  const auto save = [&](const Dataset& part) {
    store->save("0_2", registry().get("shard").write(part));
  };
  const auto error = [&] { return error_of([&] { read_part(*store, 0, manifest); }); };
  const auto expected = [&](std::string_view what) {
    return fmt::format("data_corrupt: reading {}/0_2: {}; prepare the data set again",
                       store->describe(), what);
  };
  save(data);
  EXPECT_EQ(error(), expected("20 rows where the manifest says 10"));
  save(with_cols(take_part(data, 0, 2), 60));
  EXPECT_EQ(error(), expected("60 features where the manifest says 49"));
  std::string other = sparse_text();
  for (std::size_t at = 0; (at = other.find("-1 ", at)) != std::string::npos;)
    other.replace(at, 3, "-2 ");
  save(take_part(parse_text(other), 0, 2));
  EXPECT_EQ(error(), expected("the label -2 is not among the manifest's"));
  store->save("0_2", as_bytes("{}"));
  EXPECT_EQ(error().substr(0, 13), "data_corrupt:");
}

TEST_F(Source, ReadsSyntheticDataThroughEveryFormat) {
  for (const std::string kind : {"higgs", "rcv1", "blobs"}) {
    const Dataset data = synthesize({.kind = kind, .rows = 300});
    put(kind + ".libsvm", registry().get("libsvm").write(data).text());
    const Dataset text = read(uri(kind + ".libsvm"));
    const Dataset wide = with_cols(text, data.cols());  // the last features may not occur
    EXPECT_TRUE(same(wide, data)) << kind;
    put(kind + ".shard", registry().get("shard").write(text).text());
    const Dataset shard = read(uri(kind + ".shard"));
    EXPECT_TRUE(same(shard, text)) << kind;
    EXPECT_EQ(registry().get("libsvm").write(shard).text(),
              read_file(this->text(kind + ".libsvm"))->text());
  }
}

}  // namespace
}  // namespace lambdaml::data
