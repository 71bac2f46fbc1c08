#include "apps/cli/help.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lambdaml::cli {
namespace {

TEST(Help, WrapsAtTheWidth) {
  EXPECT_EQ(wrapped("one two three", 80, 4, 4), "one two three");
  EXPECT_EQ(wrapped("one two three", 11, 4, 4), "one two\n    three");
  EXPECT_EQ(wrapped("a considerable word", 8, 2, 2), "a\n  considerable\n  word");
  EXPECT_EQ(wrapped("", 8, 2, 2), "");
}

TEST(Help, NamesAnOptionAndWhatItGoesWithInWordsOfItsOwn) {
  CLI::App app;
  int number = 0;
  std::vector<std::string> places;
  CLI::Option* rows = app.add_option("--rows", number, "so many rows")->check(CLI::Range(1, 9));
  CLI::Option* kind = app.add_option("--kind", number, "their kind")->required()->needs(rows);
  app.add_option("PLACE", places, "folders")->required();
  const HelpFormatter formatter;
  EXPECT_EQ(formatter.make_option(rows, false), "  --rows                  so many rows\n");
  EXPECT_EQ(formatter.make_option(kind, false),
            "  --kind                  their kind (required) (with --rows)\n");
  EXPECT_EQ(formatter.make_option(app.get_option("PLACE"), true),
            "  PLACE ...               folders\n");
}

}  // namespace
}  // namespace lambdaml::cli
