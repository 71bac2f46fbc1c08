// Whatever happens to the files of a prepared data set, readers get either the rows that were
// written or an error that names the file.
#include "lambdaml/data/integrity.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/data/testing/test_util.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::data {
namespace {

using test::error_of;
using test::parse_text;
using test::same;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Dataset dense_rows(int seed) {
  std::string text;
  for (int r = 0; r < 30; ++r)
    text += fmt::format("{} 1:{} 2:{} 3:{}\n", r % 2, r, r * seed, 0.5 + seed);
  return parse_text(text);
}

Dataset sparse_rows() {
  std::string text;
  for (int r = 0; r < 30; ++r) text += fmt::format("{} {}:0.5 {}:{}\n", r % 3, r + 1, r + 40, r);
  return parse_text(text);
}

/// The bits of a file that are flipped: one of each of its first bytes and its last, where lengths
/// and names stand, and some in between.
std::vector<std::size_t> bits_of(std::size_t bytes, std::uint64_t seed, std::size_t between) {
  constexpr std::size_t kEnds = 64;
  std::set<std::size_t> bits;
  Rng rng(seed);
  for (std::size_t byte = 0; byte < std::min(bytes, kEnds); ++byte) {
    bits.insert(byte * 8 + rng.below(8));
    bits.insert((bytes - 1 - byte) * 8 + rng.below(8));
  }
  for (std::size_t k = 0; k < between; ++k) bits.insert(rng.below(bytes * 8));
  return {bits.begin(), bits.end()};
}

Buffer flipped(const Buffer& bytes, std::size_t bit) {
  Buffer out(bytes.view());
  out.data()[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  return out;
}

TEST(LoneShard, NoBitOfItCanBeAnother) {
  const Plugin& shard = registry().get("shard");
  for (const Dataset& rows : {dense_rows(1), sparse_rows(), parse_text("1:1 2:2\n2:3\n")}) {
    const Buffer whole = shard.write(rows);
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      const std::string error = error_of([&] {
        shard.read(std::make_shared<const Buffer>(flipped(whole, bit)),
                   {"FILE", Form::automatic, 1});
      });
      ASSERT_THAT(error, AllOf(StartsWith("data_corrupt: "), HasSubstr("FILE"))) << "bit " << bit;
    }
  }
}

TEST(LoneShard, NothingIsAddedToItOrTakenAway) {
  const Plugin& shard = registry().get("shard");
  const Buffer whole = shard.write(sparse_rows());
  const auto error = [&](std::string bytes) {
    return error_of([&] { shard.read(test::shared(bytes), {"FILE", Form::automatic, 1}); });
  };
  for (std::size_t size = 0; size < whole.size(); ++size)
    ASSERT_THAT(error(std::string(whole.text().substr(0, size))), StartsWith("data_corrupt: "));
  EXPECT_THAT(error(std::string(whole.text()) + '\0'), StartsWith("data_corrupt: "));
}

/// A prepared set in a store of each kind that needs no server, as each format.
struct Place {
  const char* scheme;
  const char* as;
};
void PrintTo(const Place& place, std::ostream* out) { *out << place.scheme << '_' << place.as; }

class PreparedSet : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    uri_ = std::string(GetParam().scheme) == "memory"
               ? Uri::parse("memory://data_integrity_test/set")
               : Uri::parse((folder_.path() / "set").string());
    store_ = storage::open(uri_);
    manifest_ = split(rows_, 3, *store_, GetParam().as);
  }
  void TearDown() override { store_->clear(""); }

  Buffer load(const std::string& key) const { return std::move(*store_->load(key)); }
  void save(const std::string& key, const Buffer& bytes) const { store_->save(key, bytes); }
  /// Of reading the set whole, as `predict` and `data info` do.
  std::string error() const {
    return error_of([&] { data::read(uri_); });
  }
  /// Of reading it as the workers of a job do: each its own part, by what the trigger has seen.
  std::string error_of_part(std::size_t i) const {
    Manifest facts = manifest_;
    facts.part_files.clear();
    return error_of([&] { read_part(*store_, i, facts, manifest_.part_files[i]); });
  }
  bool is_file() const { return uri_.scheme == "file"; }
  bool is_shard() const { return std::string(GetParam().as) == "shard"; }

  test::TemporaryFolder folder_;
  Dataset rows_ = dense_rows(1);
  Uri uri_;
  std::shared_ptr<storage::Storage> store_;
  Manifest manifest_;
};

TEST_P(PreparedSet, IsReadAsItWasWritten) {
  EXPECT_TRUE(same(data::read(uri_), rows_));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(error_of_part(i), "");
}

TEST_P(PreparedSet, AFlippedBitIsFoundWhereverItIs) {
  for (const std::string key : {"0_3", "1_3", "2_3", "manifest.json"}) {
    const Buffer whole = load(key);
    for (const std::size_t bit : bits_of(whole.size(), key[0], is_file() ? 100 : 1500)) {
      save(key, flipped(whole, bit));
      ASSERT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/" + key)))
          << "bit " << bit;
      if (key == "manifest.json") continue;
      ASSERT_THAT(error_of_part(static_cast<std::size_t>(key[0] - '0')),
                  AllOf(StartsWith("data_corrupt: "), HasSubstr("set/" + key)))
          << "bit " << bit;
    }
    save(key, whole);
  }
  EXPECT_EQ(error(), "");
}

TEST_P(PreparedSet, WhatIsCutShortOrGoesOnIsFound) {
  for (const std::string key : {"1_3", "manifest.json"}) {
    const std::string whole(load(key).text());
    // Without the end of its line a manifest says the same.
    for (std::size_t size = 0; size + 1 < whole.size(); size += 1 + size / 7) {
      store_->save(key, as_bytes(std::string_view(whole).substr(0, size)));
      ASSERT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/" + key))) << size;
    }
    store_->save(key, as_bytes(whole + "1 1:1\n"));
    EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/" + key)));
    store_->save(key, as_bytes(whole));
  }
}

TEST_P(PreparedSet, PartsAreNotExchanged) {
  save("0_3", load("1_3"));
  const auto names_both =
      AllOf(StartsWith("data_corrupt: reading "), HasSubstr("set/0_3: "),
            HasSubstr(is_shard() ? "this is part 1_3 of the data set" : "not what was written"));
  EXPECT_THAT(error(), names_both);
  EXPECT_THAT(error_of_part(0), names_both);
  EXPECT_EQ(error_of_part(1), "");
}

TEST_P(PreparedSet, APartOfAnotherSetOfTheSameShapeIsRefused) {
  const auto other = storage::open("memory://data_integrity_test/other");
  const Manifest others = split(dense_rows(2), 3, *other, GetParam().as);
  ASSERT_NE(others.id, manifest_.id);
  ASSERT_EQ(others.part_rows, manifest_.part_rows);
  save("2_3", std::move(*other->load("2_3")));
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/2_3")));
  EXPECT_THAT(error_of_part(2), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/2_3")));
  // Nor do they fit with its manifest.
  save("manifest.json", std::move(*other->load("manifest.json")));
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/0_3")));
  other->clear("");
}

TEST_P(PreparedSet, WithoutAManifestShardsStillKnowWhereTheyBelong) {
  if (!is_shard()) return;  // text cannot say what it is
  store_->remove("manifest.json");
  EXPECT_TRUE(same(data::read(uri_), rows_));
  const Buffer first = load("0_3"), second = load("1_3");
  save("0_3", second);
  save("1_3", first);
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("set/0_3: this is part 1_3")));
  save("0_3", first);
  save("1_3", second);
  const auto other = storage::open("memory://data_integrity_test/other");
  split(dense_rows(2), 3, *other);
  save("1_3", std::move(*other->load("1_3")));
  EXPECT_THAT(error(),
              AllOf(StartsWith("data_corrupt: "), HasSubstr("set/1_3: this is part 1_3 of")));
  save("1_3", registry().get("shard").write(take_part(rows_, 1, 3)));
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("1_3 does not")));
  other->clear("");
}

TEST_P(PreparedSet, IsTheSameWhenItIsPreparedAgain) {
  const Manifest again = split(rows_, 3, *store_, GetParam().as);
  EXPECT_EQ(again.to_json(), manifest_.to_json());
  EXPECT_NE(split(rows_, 2, *store_, GetParam().as).id, manifest_.id);
}

INSTANTIATE_TEST_SUITE_P(, PreparedSet,
                         testing::Values(Place{"file", "shard"}, Place{"memory", "shard"},
                                         Place{"file", "libsvm"}, Place{"memory", "libsvm"}),
                         testing::PrintToStringParamName());

TEST(SourceFiles, AreNotedWhereTheyStateNothingThemselves) {
  const auto store = storage::open("memory://data_integrity_test/notes");
  const Uri uri = Uri::parse("memory://data_integrity_test/notes");
  store->save("0_2", as_bytes("1 1:1\n"));
  store->save("1_2", as_bytes("0 1:2\n"));
  std::vector<SourceFile> files;
  data::read(uri, "auto", 2, &files);
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[1].name, (uri / "1_2").display());
  EXPECT_EQ(files[1].content.bytes, 6U);
  const std::vector<SourceFile> before = std::exchange(files, {});
  store->save("1_2", as_bytes("0 1:3\n"));
  data::read(uri, "auto", 1, &files);
  EXPECT_EQ(files[0], before[0]);
  EXPECT_EQ(files[1].name, before[1].name);
  EXPECT_NE(files[1].content, before[1].content);

  files.clear();
  data::read(uri / "0_2", "auto", 1, &files);
  EXPECT_EQ(files, std::vector{before[0]});
  // What states its own checksum is known by that.
  files.clear();
  split(dense_rows(1), 2, *store);
  data::read(uri, "auto", 1, &files);
  data::read(uri / "0_2", "auto", 1, &files);
  EXPECT_TRUE(files.empty());
  store->clear("");
}

/// What version 31dee6d prepared.
class OldSet : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path from =
        std::filesystem::path(LAMBDAML_SOURCE_DIR) / "tests/fixtures/31dee6d/prepared/dense";
    for (const char* name : {"0_2", "1_2", "manifest.json"})
      std::filesystem::copy_file(from / name, folder_.path() / name);
  }
  std::string error() const {
    return error_of([&] { data::read(Uri::parse(folder_.path().string())); });
  }
  test::TemporaryFolder folder_;
};

TEST_F(OldSet, IsKnownByTheChecksumOfItsManifest) {
  EXPECT_EQ(error(), "");
  const Dataset rows = data::read(Uri::parse(folder_.path().string()));
  const auto store = storage::open("memory://data_integrity_test/again");
  const auto manifest = find_manifest(Uri::parse(folder_.path().string()));
  // So a job that began with it can be resumed after the set is prepared again.
  EXPECT_EQ(split(rows, 2, *store).checksum, manifest->checksum);
  store->clear("");
  std::filesystem::copy_file(folder_.path() / "1_2", folder_.path() / "0_2",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("manifest.json")));
}

TEST_F(OldSet, AFlippedBitInAValueIsFound) {
  const std::filesystem::path path = folder_.path() / "1_2";
  const Buffer whole = std::move(*read_file(path));
  for (const std::size_t bit : bits_of(whole.size(), 1, 300)) {
    write_file(path, flipped(whole, bit));
    ASSERT_THAT(error(), StartsWith("data_corrupt: ")) << bit;
  }
}

}  // namespace
}  // namespace lambdaml::data
