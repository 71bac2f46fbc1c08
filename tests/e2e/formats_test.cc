// Data as people have them, through the commands: what a job reads, its model says and a file for
// predictions needs.
#include <algorithm>
#include <filesystem>

#include <unistd.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class Formats : public CliTest {
 protected:
  /// Rows of two classes that a line divides: r below 20, and above.
  static std::string table(const char* header) {
    std::string text = header;
    for (int r = 0; r < 40; ++r)
      text += (r < 20 ? "no," : "yes,") + std::to_string(r) + (r < 20 ? ",red\n" : ",blue\n");
    return text;
  }
};

TEST_F(Formats, ATableTrainsAModelThatReadsOtherTables) {
  write("train.csv", table("bought,age,colour\n"));
  const Result trained = lambdaml({"train", "--data", "train.csv", "--label", "bought", "--workers",
                                   "2", "--test-data", "train.csv", "--output", "out", "-q"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  // Other columns, another order, no label, an unknown category.
  write("new.csv", "id,colour,age\n1,red,1\n2,green,2\n3,blue,38\n");
  const Result predicted =
      lambdaml({"predict", "--model", "out/model.safetensors", "--data", "new.csv"});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_NE(predicted.err.find("'id'"), std::string::npos) << predicted.err;
  EXPECT_NE(predicted.err.find("'colour=green'"), std::string::npos) << predicted.err;
  write("narrow.csv", "colour,id\nred,1\n");
  const Result refused =
      lambdaml({"predict", "--model", "out/model.safetensors", "--data", "narrow.csv"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("narrow.csv: the column 'age' is missing"), std::string::npos)
      << refused.err;
}

TEST_F(Formats, PlacesAreListedRepeatedOrMatched) {
  fs::create_directory(folder() / "parts");
  write("parts/part-0", "1,2\n0,3\n");
  write("parts/part-1", "1,4\n0,5\n");
  write("parts/_SUCCESS", "");
  const auto rows = [&](const std::vector<std::string>& places) {
    std::vector<std::string> arguments{"train", "--workers", "1", "--epochs", "1", "--json", "-q"};
    for (const std::string& place : places) arguments.insert(arguments.end(), {"--data", place});
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json()["rows"];
  };
  EXPECT_EQ(rows({"parts"}), 4);
  EXPECT_EQ(rows({"parts/part-*"}), 4);
  EXPECT_EQ(rows({"parts/part-0,parts/part-1,parts/part-0"}), 6);
  EXPECT_EQ(rows({"parts/part-0", "parts"}), 6);
}

struct BadTable {
  std::string name;
  std::string text;
  std::vector<std::string> arguments;
  std::vector<std::string> must_say;
};
void PrintTo(const BadTable& c, std::ostream* out) { *out << c.name; }

class BadTables : public CliTest, public testing::WithParamInterface<BadTable> {};

TEST_P(BadTables, GetOneLineAndLeaveNothing) {
  const BadTable& c = GetParam();
  write("bad.csv", c.text);
  std::vector<std::string> arguments{"train", "--data", "bad.csv", "--workers", "1", "-q"};
  arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
  const Result result = lambdaml(arguments);
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  for (const std::string& text : c.must_say)
    EXPECT_NE(result.err.find(text), std::string::npos)
        << "'" << text << "' is not in: " << result.err;
  EXPECT_FALSE(fs::exists(folder() / "runs"));
}

std::string many_texts() {
  std::string text = "y,id\n";
  for (int i = 0; i <= 10'000; ++i) text += "1,t" + std::to_string(i) + "\n";
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    , BadTables,
    testing::Values(
        BadTable{
            "all_missing", "y,a,b\n1,2,\n0,3,\n", {}, {"bad.csv:2", "row 1", "'b'", "--missing"}},
        BadTable{"all_missing_filled",
                 "y,a,b\n1,2,\n0,3,\n",
                 {"--missing", "mean"},
                 {"bad.csv", "'b'", "remove the column"}},
        BadTable{"text_refused",
                 "y,a\n1,red\n",
                 {"--text-columns", "refuse"},
                 {"bad.csv", "row 1", "'a'", "red"}},
        BadTable{"labels_all_the_same",
                 "y,a,b\n1,2,5\n1,3,5\n",
                 {},
                 {"bad.csv", "every label of column 'y' is 1", "--label", "other classes"}},
        BadTable{"text_labels_all_the_same",
                 "y,a\nspam,2\nspam,3\n",
                 {},
                 {"bad.csv", "every label of column 'y' is spam", "--label"}},
        BadTable{"targets_for_classes",
                 "y,a\n0.5,2\n1,3\n",
                 {"--model", "lr"},
                 {"bad.csv, column 'y'", "targets are numbers", "--model linear"}},
        // That the first column was taken for the label is no second line.
        BadTable{"targets_for_classes_in_the_first_column",
                 "a,b\n0.5,2\n1,3\n",
                 {},
                 {"bad.csv, column 'a'", "another column by --label"}},
        BadTable{"blanks_between_fields", "1 2 3\n0 3 4\n", {}, {"bad.csv:1", "--delimiter"}},
        BadTable{"classes_for_numbers",
                 "y,a\nred,2\nblue,3\n",
                 {"--model", "linear"},
                 {"bad.csv, column 'y'", "labels are texts ('blue' …)", "--model lr"}},
        BadTable{"no_label", "a,b\n1,2\n", {"--label", "c"}, {"bad.csv", "'c'"}},
        BadTable{"label_twice", "label,a,label\n1,2,1\n", {}, {"bad.csv:1", "'label'"}},
        BadTable{"unequal_rows", "y,a\n1,2\n0,3,4\n", {}, {"bad.csv:3", "row 2", "3 fields"}},
        BadTable{"thousands", "y,a\n1,\"1,234\"\n", {}, {"bad.csv:2", "row 1", "'a'", "1,234"}},
        BadTable{
            "decimal_comma", "y;a\n1;3,5\n", {}, {"bad.csv:2", "row 1", "'a'", "decimal comma"}},
        BadTable{"many_texts", many_texts(), {}, {"bad.csv", "'id'", "10,000"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lambdaml::e2e
