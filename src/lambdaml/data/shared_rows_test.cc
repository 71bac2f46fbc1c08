#include "lambdaml/data/shared_rows.h"

#include <gtest/gtest.h>

#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

TEST(SharedRows, PartsAreTheRowsWhereTheyLie) {
  const Dataset rows = test::parse_text("1 1:1 2:2\n0 1:3 2:4\n1 1:5 2:6\n0 1:7 2:8\n5 1:9 2:1\n");
  const SharedRows shared(rows);
  const Manifest manifest = shared.manifest(2);
  EXPECT_EQ(manifest.part_rows, (std::vector<std::uint64_t>{3, 2}));
  EXPECT_EQ(manifest.labels, (std::vector<std::int32_t>{0, 1, 5}));
  EXPECT_EQ(manifest.features, 2U);
  EXPECT_FALSE(manifest.sparse);
  const Dataset second = shared_part(shared.name(), 1, manifest);
  EXPECT_TRUE(test::same(second, rows.slice(3, 5)));
  EXPECT_EQ(second.labels.data(), rows.labels.data() + 3) << "they were copied";
}

TEST(SharedRows, AreFoundWhileTheInstanceLives) {
  std::string name;
  Manifest manifest;
  {
    const SharedRows shared(test::parse_text("1 1:1\n0 1:3\n"));
    name = shared.name();
    manifest = shared.manifest(1);
    EXPECT_NO_THROW(shared_part(name, 0, manifest));
    EXPECT_NE(SharedRows(test::parse_text("1 1:1\n")).name(), name);
  }
  EXPECT_TRUE(is_shared(name));
  EXPECT_EQ(test::error_of([&] { shared_part(name, 0, manifest); }),
            "not_found: the data set " + name + " is not in the memory of this process");
  EXPECT_FALSE(is_shared("data.libsvm"));
}

TEST(SharedRows, TooFewRowsAreRefused) {
  const SharedRows shared(test::parse_text("1 1:1\n0 1:3\n"));
  EXPECT_EQ(test::error_of([&] { (void)shared.manifest(3); }),
            "invalid_argument: 2 rows cannot be cut in 3 parts: use fewer workers");
}

}  // namespace
}  // namespace lambdaml::data
