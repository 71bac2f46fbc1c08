#include "lambdaml/base/option_sets.h"

#include <gtest/gtest.h>

namespace lambdaml {
namespace {

std::vector<Option> some() {
  return {{.name = "a", .default_value = std::int64_t{1}, .help = "first"},
          {.name = "b", .default_value = std::string("x"), .help = "second"}};
}

TEST(OptionSets, AnOptionOfSeveralOwnersIsOne) {
  std::vector<Option> all = some();
  add_options(all, {{.name = "b", .default_value = std::string("y"), .help = "another"},
                    {.name = "c", .default_value = true, .help = "third"},
                    {.name = "c", .default_value = true, .help = "third"}});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].help, "second");
  EXPECT_EQ(all[2].name, "c");
}

TEST(OptionSets, AnOwnerGetsTheValuesOfItsOptions) {
  std::vector<Option> more = some();
  more.push_back({.name = "c", .default_value = 0.5, .help = "third"});
  Options given(more);
  given.parse("b", "z", "test");
  given.parse("c", "2", "test");
  const Options own = with_values_of(some(), given);
  EXPECT_EQ(own.declared().size(), 2U);
  EXPECT_EQ(own.text("b"), "z");
  EXPECT_EQ(own.integer("a"), 1);
  EXPECT_FALSE(own.is_set("a"));
  EXPECT_EQ(with_values_of(some(), Options()).text("b"), "x");
}

TEST(OptionSets, ChangedIsWhatIsNotTheDefault) {
  Options options(some());
  options.parse("a", "1", "test");
  EXPECT_FALSE(is_changed(options, "a"));
  options.parse("a", "2", "test");
  EXPECT_TRUE(is_changed(options, "a"));
  EXPECT_FALSE(is_changed(options, "b"));
  EXPECT_FALSE(is_changed(options, "unknown"));
}

}  // namespace
}  // namespace lambdaml
