#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/deploy/deployment.h"

namespace lambdaml::cli {
namespace {

/// Asks whether every function may be deleted, naming them. Throws where there is nobody to ask.
bool is_confirmed(aws::LambdaClient& client) {
  if (!can_ask())
    fail(Code::invalid_argument,
         "destroy --all deletes every function that lambdaml made: --dry-run lists them, and --yes "
         "confirms it");
  deploy::DestroyOptions options;
  options.all = options.dry_run = true;
  const std::vector<std::string> names = deploy::destroy(client, options, {}).deleted;
  return names.empty() || agrees(fmt::format("delete {}?", join(names, ", ")));
}

}  // namespace

void add_destroy_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "destroy", "delete functions that `lambdaml deploy` made");
  const auto options = std::make_shared<deploy::DestroyOptions>();
  command->add_option("NAME", options->names, "names of functions");
  command->add_flag("--all", options->all, "every function that lambdaml made, in the region");
  command->add_flag("--dry-run", options->dry_run, "say what would be deleted, and delete nothing");
  const auto sure = std::make_shared<bool>(false);
  command->add_flag("-y,--yes", *sure, "with --all: do not ask");
  command->callback([options, sure, &globals] {
    if (options->names.empty() != options->all)
      fail(Code::invalid_argument, "destroy: name the functions, or give --all");
    aws::LambdaClient client;
    if (options->all && !options->dry_run && !*sure && !is_confirmed(client))
      return print_line("nothing was deleted");
    const auto say = [&globals](const std::string& text) {
      if (!globals.quiet) tell_line(text);
    };
    const deploy::Destroyed result = deploy::destroy(client, *options, say);
    if (globals.json)
      return print_json(json_text(nlohmann::ordered_json{{"deleted", result.deleted},
                                                         {"absent", result.absent},
                                                         {"left", result.left},
                                                         {"rules", result.rules},
                                                         {"notes", result.notes},
                                                         {"dry_run", options->dry_run}}));
    for (const std::string& name : result.deleted)
      print_line(fmt::format("{}: {}", name, options->dry_run ? "would be deleted" : "deleted"));
    for (const std::string& name : result.rules)
      print_line(
          fmt::format("rule {}: {}", name, options->dry_run ? "would be deleted" : "deleted"));
    for (const std::string& note : result.notes) print_line(note);
    for (const std::string& name : result.absent)
      print_line(fmt::format("{}: there is no such function", name));
    for (const std::string& name : result.left)
      print_line(fmt::format("{}: left alone, lambdaml did not make it", name));
  });
}

}  // namespace lambdaml::cli
