#include <string>

#include <gtest/gtest.h>

#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

Manifest example() {
  Manifest manifest;
  manifest.part_rows = {4, 3, 3};
  manifest.features = 47236;
  manifest.stored_values = 750;
  manifest.sparse = true;
  manifest.labels = {-1, 1};
  manifest.bytes = 9000;
  manifest.weights = 12.5;
  return manifest;
}

TEST(Manifest, SurvivesItsText) {
  const Manifest manifest = example();
  const Manifest again = Manifest::from_json(manifest.to_json(), "MANIFEST");
  EXPECT_EQ(again.part_rows, manifest.part_rows);
  EXPECT_EQ(again.features, manifest.features);
  EXPECT_EQ(again.stored_values, manifest.stored_values);
  EXPECT_EQ(again.sparse, manifest.sparse);
  EXPECT_EQ(again.labels, manifest.labels);
  EXPECT_EQ(again.bytes, manifest.bytes);
  EXPECT_EQ(again.weights, manifest.weights);
  EXPECT_EQ(again.format, "shard");
  EXPECT_EQ(again.rows(), 10U);
  EXPECT_EQ(again.parts(), 3U);
}

struct Change {
  const char* from;
  const char* to;
  const char* why;
};

TEST(Manifest, WhatMakesNoSenseIsRefused) {
  const Change changes[] = {
      {"\"version\": 1", "\"version\": 3", "its version is neither 1 nor 2"},
      {"\"version\": 1", "\"version\": 2", "it has no checksum of itself"},
      {"\"version\": 1", "\"other\": 1", "'version' is missing"},
      {"\"shard\"", "\"pickle\"", "its parts are of the unknown format 'pickle'"},
      {"\"shard\"", "3", "'format' is not a name"},
      {"\"part_rows\"", "\"rows\"", "'part_rows' is missing"},
      {"  4,\n", "  0,\n", "a part has no rows"},
      {"  4,\n", "  -4,\n", "'part_rows' is not a whole number up to 281474976710656"},
      {"  4,\n", "  4.0,\n", "'part_rows' is not a whole number up to 281474976710656"},
      {"  4,\n", "  281474976710656,\n", "'part_rows' is not a whole number up to 0"},
      {"47236", "2147483649", "'features' is not a whole number up to 2147483648"},
      {"47236", "\"47236\"", "'features' is not a whole number up to 2147483648"},
      {"true", "1", "'sparse' is neither true nor false"},
      {"  -1,\n", "  1,\n", "the labels do not ascend"},
      {"  -1,\n", "  -2147483649,\n", "a label does not fit 32 bits"},
      {"  -1,\n", "  18446744073709551615,\n", "a label does not fit 32 bits"},
      {"  -1,\n", "  \"a\",\n", "a label is no integer"},
      {"12.5", "\"12.5\"", "'weights' is no number above 0"},
      {"12.5", "-1", "'weights' is no number above 0"},
      {"12.5", "0", "'weights' is no number above 0"},
      {"{", "[", "this is not a JSON object"},
  };
  for (const Change& change : changes) {
    std::string text = example().to_json();
    const std::size_t at = text.find(change.from);
    ASSERT_NE(at, std::string::npos) << change.from;
    text.replace(at, std::string_view(change.from).size(), change.to);
    EXPECT_EQ(
        test::error_of([&] { Manifest::from_json(text, "MANIFEST"); }),
        fmt::format("data_corrupt: reading MANIFEST: {}; prepare the data set again", change.why))
        << text;
  }
  for (const char* text : {"", "null", "[]", "\xff", "{\"version\": 1"})
    EXPECT_EQ(test::error_of([&] { Manifest::from_json(text, "MANIFEST"); }),
              "data_corrupt: reading MANIFEST: this is not a JSON object; prepare the data set "
              "again");
}

}  // namespace
}  // namespace lambdaml::data
