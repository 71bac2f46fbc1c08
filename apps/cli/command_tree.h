#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

/// The commands as data: what man pages and completions are made of. It is read from the
/// application itself, so it has what the parser accepts and no more.
namespace lambdaml::cli {

/// An option or an argument of a command.
struct ArgumentEntry {
  std::vector<std::string> names;  ///< `-o`, `--out`; of an argument its one name, `FILE`
  std::string help;
  std::string value = {};  ///< what stands for its value: `N`, `VALUE`; empty for a switch
  enum class Values { none, words, numbers, files } values = Values::none;
  std::vector<std::string> words = {};  ///< of `words`; other values may be possible
  bool required = false;
  bool repeated = false;  ///< takes several values
};

struct CommandEntry {
  std::string path;  ///< `lambdaml data synth`
  std::string help;
  std::vector<ArgumentEntry> options = {};    ///< in the order of --help
  std::vector<ArgumentEntry> arguments = {};  ///< in their order on the command line
  std::vector<CommandEntry> commands = {};

  /// This one and all below it, parents first.
  std::vector<const CommandEntry*> all() const;
  /// The last word of the path.
  std::string name() const;
};

/// What `app` accepts. The values of options that are declared (job and search options) have the
/// declared choices; those of channels and checkpoints are the stores' schemes.
CommandEntry describe(const CLI::App& app);

/// A completion script for that shell. Throws invalid_argument for another than
/// completion_shells().
std::string completion_script(const CommandEntry& root, const std::string& shell);
std::vector<std::string> completion_shells();

/// The man page of a command in man(7), of section 1. `version` and `date` are shown in its header
/// and footer.
std::string man_page(const CommandEntry& command, const CommandEntry& root,
                     const std::string& version, const std::string& date);

}  // namespace lambdaml::cli
