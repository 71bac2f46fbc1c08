#include "lambdaml/data/lent.h"

#include <gtest/gtest.h>

#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

TEST(Lent, PartsAreTheRowsWhereTheyLie) {
  const Dataset rows = test::parse_text("1 1:1 2:2\n0 1:3 2:4\n1 1:5 2:6\n0 1:7 2:8\n5 1:9 2:1\n");
  const Lent lent(rows);
  const Manifest manifest = lent.manifest(2);
  EXPECT_EQ(manifest.part_rows, (std::vector<std::uint64_t>{3, 2}));
  EXPECT_EQ(manifest.labels, (std::vector<std::int32_t>{0, 1, 5}));
  EXPECT_EQ(manifest.features, 2U);
  EXPECT_FALSE(manifest.sparse);
  const Dataset second = lent_part(lent.name(), 1, manifest);
  EXPECT_TRUE(test::same(second, rows.slice(3, 5)));
  EXPECT_EQ(second.labels.data(), rows.labels.data() + 3) << "they were copied";
}

TEST(Lent, AreFoundAsLongAsTheyAreLent) {
  std::string name;
  Manifest manifest;
  {
    const Lent lent(test::parse_text("1 1:1\n0 1:3\n"));
    name = lent.name();
    manifest = lent.manifest(1);
    EXPECT_NO_THROW(lent_part(name, 0, manifest));
    EXPECT_NE(Lent(test::parse_text("1 1:1\n")).name(), name);
  }
  EXPECT_TRUE(is_lent(name));
  EXPECT_EQ(test::error_of([&] { lent_part(name, 0, manifest); }),
            "not_found: the data set " + name + " is not in the memory of this process");
  EXPECT_FALSE(is_lent("data.libsvm"));
}

TEST(Lent, TooFewRowsAreRefused) {
  const Lent lent(test::parse_text("1 1:1\n0 1:3\n"));
  EXPECT_EQ(test::error_of([&] { (void)lent.manifest(3); }),
            "invalid_argument: 2 rows cannot be cut in 3 parts: use fewer workers");
}

}  // namespace
}  // namespace lambdaml::data
