#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/testing/test_util.h"

/// Options of a format, handed to its reader: by a format that is in no list.
namespace lambdaml::data {
namespace {

/// A row a line, the label in the column that an option names, between separators that another
/// names.
Plugin table() {
  return {.name = "table",
          .formats = {"table"},
          .help = "t",
          .recognizes = [](Bytes) { return false; },
          .read =
              [](const std::shared_ptr<const Buffer>& bytes, const ReadOptions& how) {
                EXPECT_EQ(how.options.declared().size(), 2U) << "those of others too";
                const auto column = static_cast<std::size_t>(how.options.integer("label_column"));
                const std::vector<std::string> cells =
                    lambdaml::split(bytes->text(), how.options.text("separator").at(0));
                if (column >= cells.size())
                  fail(Code::data_corrupt, "{}: no column {}", how.what, column);
                struct Owned {
                  std::vector<float> values;
                  std::vector<std::int32_t> labels;
                };
                const auto owned = std::make_shared<Owned>();
                for (std::size_t i = 0; i < cells.size(); ++i)
                  if (i == column)
                    owned->labels.push_back(std::stoi(cells[i]));
                  else
                    owned->values.push_back(std::stof(cells[i]));
                const tensor::DenseView view{owned->values.data(), 1, owned->values.size()};
                return Dataset{view, owned->labels, owned};
              },
          .write = [](const Dataset&) { return Buffer(); },
          .options = {{.name = "label_column",
                       .default_value = std::int64_t{0},
                       .help = "l",
                       .minimum = 0},
                      {.name = "separator", .default_value = std::string(","), .help = "s"}}};
}

std::vector<float> first_row(const Dataset& dataset) {
  const auto& view = std::get<tensor::DenseView>(dataset.features);
  return {view.data, view.data + view.cols};
}

TEST(FormatOptions, AreHandedToTheReader) {
  std::vector<Option> all = table().options;
  all.push_back({.name = "of_another", .default_value = true, .help = "o"});
  Options given(all);
  given.parse("label_column", "2", "test");
  given.parse("separator", ";", "test");
  const Dataset read = read_with(table(), test::shared("1;2;7"), {"FILE"}, given);
  EXPECT_EQ(read.labels[0], 7);
  EXPECT_EQ(first_row(read), (std::vector<float>{1, 2}));
}

TEST(FormatOptions, AreTheDefaultsWhereNobodySaysOtherwise) {
  const Dataset read = read_with(table(), test::shared("1,2,7"), {"FILE"}, {});
  EXPECT_EQ(read.labels[0], 1);
  EXPECT_EQ(first_row(read), (std::vector<float>{2, 7}));
  EXPECT_EQ(table()
                .read(test::shared("1,2,7"), {"FILE", Form::automatic, 1, Options(table().options)})
                .labels[0],
            1);
}

TEST(FormatOptions, OfAllFormatsAreOneSet) {
  const Options all = format_options();
  for (const Plugin& plugin : registry().entries())
    for (const Option& option : plugin.options)
      EXPECT_NE(all.find(option.name), nullptr) << plugin.name << ": " << option.name;
}

}  // namespace
}  // namespace lambdaml::data
