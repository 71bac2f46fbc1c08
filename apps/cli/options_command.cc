#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/help.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/options.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

std::string range_of(const Option& option) {
  if (!option.choices.empty()) return join(option.choices, ", ");
  if (std::holds_alternative<bool>(option.default_value)) return "true, false";
  std::vector<std::string> ranges = option.words;
  if (option.minimum) ranges.push_back(fmt::format("≥ {}", *option.minimum));
  if (option.above) ranges.push_back(fmt::format("> {}", *option.above));
  if (option.maximum) ranges.push_back(fmt::format("≤ {}", *option.maximum));
  return join(ranges, ", ");
}

/// A list item: no line has more than 120 characters.
std::string wrapped_item(const std::string& text) {
  constexpr std::size_t kColumns = 118, kIndent = 2;
  return wrapped(text, kColumns, kIndent, 0);
}

void print_list(const Options& options) {
  for (const Option& option : options.declared()) {
    std::string meaning = fmt::format("- **`{}`**: {}", option.name, option.help);
    if (!option.unit.empty()) meaning += ", in " + option.unit;
    print_text(wrapped_item(meaning + "."));
    std::vector<std::string> facts;
    const std::string value = to_text(option.default_value);
    if (!value.empty()) facts.push_back(fmt::format("Default: `{}`.", value));
    const std::string range = range_of(option);
    if (!range.empty()) facts.push_back(fmt::format("Values: {}.", range));
    if (!option.aliases.empty())
      facts.push_back(fmt::format("Other names: `{}`.", join(option.aliases, "`, `")));
    if (!facts.empty()) print_text("  " + wrapped_item(join(facts, " ")));
  }
}

nlohmann::ordered_json rows_of(const Options& options) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Option& option : options.declared()) {
    nlohmann::ordered_json row{{"name", option.name}, {"help", option.help}};
    std::visit([&](const auto& value) { row["default"] = value; }, option.default_value);
    if (!option.unit.empty()) row["unit"] = option.unit;
    if (!option.choices.empty()) row["choices"] = option.choices;
    if (!option.words.empty()) row["words"] = option.words;
    if (option.minimum) row["minimum"] = *option.minimum;
    if (option.above) row["above"] = *option.above;
    if (option.maximum) row["maximum"] = *option.maximum;
    if (!option.aliases.empty()) row["aliases"] = option.aliases;
    rows.push_back(std::move(row));
  }
  return rows;
}

/// What `channel`, `data` and `checkpoint` may name: URI schemes are not choices of these options.
nlohmann::ordered_json rows_of_stores() {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const storage::Plugin& store : storage::registry().entries()) {
    nlohmann::ordered_json row{{"name", store.name}, {"help", store.help}};
    if (!store.options.empty()) row["options"] = rows_of(Options(store.options));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

void add_options_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "options", "every option of a job, as a Markdown page");
  command->callback([&globals] {
    if (globals.json)
      return print_json(
          json_text(nlohmann::ordered_json{{"options", rows_of(job::job_options())},
                                           {"search_settings", rows_of(tune::search_options())},
                                           {"stores", rows_of_stores()}}));
    print_text(
        "# Options of a job\n\n"
        "The page that `lambdaml options` prints. Every option is a flag of `lambdaml train` "
        "(`--batch-size`), a key of job files\n"
        "(`batch_size`), an environment variable (`LAMBDAML_BATCH_SIZE`) and can be set by "
        "`--set batch_size=100`; a flag beats\n"
        "`--set`, which beats the environment, which beats the job file. Switches have a `--no-` "
        "form. Other names are accepted\n"
        "as keys. An option for which no default is listed is empty unless it is set.\n");
    print_list(job::job_options());
    print_text(
        "\n## Settings of a search\n\n"
        "Flags of `lambdaml tune`, keys of the section `tune` of its job file, environment "
        "variables (`LAMBDAML_TUNE_TRIALS`);\nsee [tune.md](../how-to/tune.md).\n");
    print_list(tune::search_options());
    print_text(
        "\n## Options of stores\n\n"
        "They stand in the query of the store's URI: `scheme://…?name=value&name=value`. See "
        "[channels.md](channels.md).");
    for (const storage::Plugin& store : storage::registry().entries()) {
      if (store.options.empty()) continue;
      print_text(fmt::format("\n### {}\n", store.name));
      print_list(Options(store.options));
    }
  });
}

}  // namespace lambdaml::cli
