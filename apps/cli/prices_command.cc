#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/cost/price_files.h"
#include "lambdaml/faas/host.h"

namespace lambdaml::cli {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const cost::Prices& prices) {
  return {{"date", prices.date()}, {"table", prices.source()}, {"regions", prices.regions()}};
}

void show(const Globals& globals) {
  const cost::Prices prices = cost::Prices::current();
  if (globals.json) return print_json(json_text(json_of(prices)));
  print_line(fmt::format("prices of {} ({})", prices.date(), prices.source()));
  for (const auto& [region, services] : prices.regions())
    for (const auto& [service, units] : services)
      for (const auto& [unit, dollars] : units)
        print_line(fmt::format("{}  {:<16} {:<12} ${:g}", region, service, unit, dollars));
}

struct UpdateArguments {
  cost::PriceUpdate update;
  std::string output;
  bool dry_run = false;
};

void update(UpdateArguments arguments, const Globals& globals) {
  const std::filesystem::path table =
      arguments.output.empty() ? cost::own_table() : std::filesystem::path(arguments.output);
  if (table.empty())
    fail(Code::invalid_argument, "prices update: there is no home folder; name the table with -o");
  if (arguments.update.regions.empty())
    if (const std::string own = faas::own_region(); !own.empty())
      arguments.update.regions.push_back(own);
  const auto say = [&globals](const std::string& text) {
    if (!globals.quiet) tell_line(text);
  };
  const cost::UpdatedPrices updated =
      cost::read_price_files(cost::Prices::current(), arguments.update, say);
  if (!arguments.dry_run) {
    if (arguments.output.empty()) make_folder(table.parent_path());
    write_file(table, as_bytes(updated.yaml), {.access = Access::umask});
  }
  if (globals.json) {
    Json out = json_of(updated.prices);
    out["table"] = utf8_path(table.string());
    out["kept"] = updated.kept;
    out["gone"] = updated.gone;
    out["dry_run"] = arguments.dry_run;
    return print_json(json_text(out));
  }
  for (const std::string& entry : updated.kept) print_line("kept as it was: " + entry);
  for (const std::string& entry : updated.gone)
    print_line("left out, AWS has no price of it: " + entry);
  print_line(fmt::format("{}: {} regions, prices of {}{}", table.string(),
                         updated.prices.regions().size(), updated.prices.date(),
                         arguments.dry_run ? "; nothing was written" : ""));
}

}  // namespace

void add_prices_command(CLI::App& app, Globals& globals) {
  CLI::App* prices = add_command(app, globals, "prices",
                                 "the prices by which costs are computed: show or update them");
  prices->require_subcommand(1);
  add_command(*prices, globals, "show", "the table in use")->callback([&globals] {
    show(globals);
  });
  CLI::App* command = add_command(*prices, globals, "update",
                                  "a table of today from AWS's public Price List files");
  const auto arguments = std::make_shared<UpdateArguments>();
  command->add_option("--region", arguments->update.regions,
                      "a region to have, any number, or all [that of the environment]");
  command->add_option("--from", arguments->update.from, "another server of the files, https://HOST")
      ->capture_default_str();
  command->add_option("-o,--output", arguments->output,
                      "the table [lambdaml/prices.yaml in ~/.config]");
  command->add_flag("--dry-run", arguments->dry_run, "say what was found, and write nothing");
  command->callback([arguments, &globals] { update(*arguments, globals); });
}

}  // namespace lambdaml::cli
