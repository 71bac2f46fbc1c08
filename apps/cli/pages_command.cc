// What is generated from the declared commands and options for others to install: completions and
// man pages.
#include <filesystem>
#include <memory>

#include <fmt/chrono.h>

#include "apps/cli/command.h"
#include "apps/cli/command_tree.h"
#include "apps/cli/output.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {
namespace {

struct ManArguments {
  std::vector<std::string> command;
  std::string to;
  std::string date;
};

std::string today() {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::to_time_t(wall_now())));
}

void write_pages(const CommandEntry& root, const ManArguments& arguments) {
  for (const CommandEntry* command : root.all()) {
    std::string name = command->path;
    for (char& c : name)
      if (c == ' ') c = '-';
    write_output((std::filesystem::path(arguments.to) / (name + ".1")).string(),
                 as_bytes(man_page(*command, root, LAMBDAML_VERSION, arguments.date)));
  }
}

const CommandEntry& find_command(const CommandEntry& root, const std::vector<std::string>& words) {
  const std::string path = join(words, " ");
  std::vector<std::string> known;
  for (const CommandEntry* command : root.all()) {
    if (command->path == root.path + (path.empty() ? "" : " " + path)) return *command;
    if (command != &root) known.push_back(command->path.substr(root.path.size() + 1));
  }
  fail(Code::invalid_argument, "no command '{}'{}", printable(path), did_you_mean(path, known));
}

}  // namespace

void add_pages_commands(CLI::App& app, Globals& globals) {
  CLI::App* completion =
      add_command(app, globals, "completion", "a completion script for bash, zsh or fish");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, join(completion_shells(), ", "))->required();
  completion->callback([&app, shell] { write_out(completion_script(describe(app), *shell)); });

  CLI::App* man = add_command(app, globals, "man", "the man page of a command");
  const auto arguments = std::make_shared<ManArguments>();
  man->add_option("COMMAND", arguments->command, "as: train, or data split; none: lambdaml itself");
  man->add_option("--to", arguments->to, "folder: write the pages of all commands into it");
  man->add_option("--date", arguments->date, "the date in the pages [today]");
  man->callback([&app, arguments] {
    if (arguments->date.empty()) arguments->date = today();
    const CommandEntry root = describe(app);
    if (!arguments->to.empty()) return write_pages(root, *arguments);
    write_out(
        man_page(find_command(root, arguments->command), root, LAMBDAML_VERSION, arguments->date));
  });
}

}  // namespace lambdaml::cli
