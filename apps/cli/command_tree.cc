#include "apps/cli/command_tree.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/options.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/options.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

using Values = ArgumentEntry::Values;

/// The declaration behind a flag, or null.
const Option* declaration_of(const std::string& flag, const std::vector<Options>& declared) {
  for (const Options& options : declared)
    for (const Option& option : options.declared())
      if (flag_of(option.name) == flag) return &option;
  return nullptr;
}

/// The names of stores as values: those of this machine are opened by their bare names.
std::vector<std::string> stores() {
  std::vector<std::string> words;
  for (const storage::Plugin& store : storage::registry().entries())
    words.push_back(store.reach == Reach::anywhere ? store.name + "://" : store.name);
  return words;
}

/// `declared` are the options that the command may have taken; of another command an option of the
/// same name is another one, and then the help differs.
void add_values(ArgumentEntry& entry, const std::vector<Options>& declared) {
  const std::string& flag = entry.names.back();
  if (flag == "--channel" || flag == "--checkpoint") {
    entry.values = Values::words;
    entry.words = stores();
    return;
  }
  entry.values = Values::files;
  const Option* option = declaration_of(flag, declared);
  if (option == nullptr || !entry.help.starts_with(option->help)) return;
  entry.words = option->choices;
  entry.words.insert(entry.words.end(), option->words.begin(), option->words.end());
  for (const std::string& word : option->open_choices) entry.words.push_back(word + ":");
  const bool is_number =
      type_of(*option) == OptionType::integer || type_of(*option) == OptionType::real;
  if (is_number) entry.value = type_of(*option) == OptionType::integer ? "N" : "X";
  if (!entry.words.empty())
    entry.values = Values::words;
  else if (is_number)
    entry.values = Values::numbers;
}

ArgumentEntry entry_of(const CLI::Option& option, const std::vector<Options>& declared) {
  ArgumentEntry entry{.names = {}, .help = option.get_description(), .value = {}};
  for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  entry.required = option.get_required();
  entry.repeated = option.get_items_expected_max() > 1;
  if (entry.names.empty()) {
    entry.names = {option.get_name(true)};
    entry.values = Values::files;
    return entry;
  }
  if (option.get_items_expected_max() == 0) return entry;
  entry.value = "VALUE";
  add_values(entry, declared);
  return entry;
}

CommandEntry describe_at(const CLI::App& app, const std::string& path,
                         const std::vector<Options>& declared) {
  CommandEntry entry{.path = path, .help = app.get_description()};
  for (const CLI::Option* option : app.get_options()) {
    ArgumentEntry argument = entry_of(*option, declared);
    if (option->get_positional() && argument.names.front().starts_with("-")) {
      // Both an option and an argument.
      ArgumentEntry position = argument;
      position.names = {option->get_name(true)};
      entry.arguments.push_back(std::move(position));
    }
    (argument.names.front().starts_with("-") ? entry.options : entry.arguments)
        .push_back(std::move(argument));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    entry.commands.push_back(describe_at(*command, path + " " + command->get_name(), declared));
  return entry;
}

}  // namespace

std::string CommandEntry::name() const { return path.substr(path.rfind(' ') + 1); }

std::vector<const CommandEntry*> CommandEntry::all() const {
  std::vector<const CommandEntry*> out{this};
  for (const CommandEntry& command : commands) {
    const std::vector<const CommandEntry*> below = command.all();
    out.insert(out.end(), below.begin(), below.end());
  }
  return out;
}

CommandEntry describe(const CLI::App& app) {
  return describe_at(app, "lambdaml", {job::job_options(), tune::search_options()});
}

}  // namespace lambdaml::cli
