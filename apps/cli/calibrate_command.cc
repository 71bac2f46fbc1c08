#include <algorithm>
#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/output.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/plan/calibration.h"
#include "lambdaml/plan/function_calibration.h"
#include "lambdaml/trigger/prediction.h"

namespace lambdaml::cli {
namespace {

struct CalibrateFlags {
  std::string channel;
  std::string out = "profile.yaml";
  std::vector<std::string> from;
  plan::FunctionCalibration functions;
};

/// Those of jobs that say which functions measure, and with whom.
std::shared_ptr<OptionFlags> add_function_flags(CLI::App& command) {
  const Options of_formats = data::format_options();
  std::vector<Option> others = of_formats.declared();
  for (const char* name : {"format", "channel", "keep"})
    others.push_back({.name = name, .default_value = std::string(), .help = ""});
  const Options declared = trigger::options_of_predictions();
  std::vector<Option> own = declared.declared();
  std::ranges::find(own, "workers", &Option::name)->help = "functions that measure at once";
  return std::make_shared<OptionFlags>(command, Options(std::move(own)), Options(std::move(others)),
                                       false);
}

plan::Calibration measured(const CalibrateFlags& flags, const OptionFlags& function_flags) {
  Options typed = trigger::options_of_predictions();
  function_flags.apply_to(typed);
  if (typed.is_set("platform")) {
    if (!flags.from.empty())
      fail(Code::invalid_argument,
           "--from is for a measurement from here: functions of --platform say how they start");
    Options job = function_flags.read();
    job.set("channel", Option::Value(flags.channel), "--channel");
    return plan::calibrate_from_functions(flags.functions, std::move(job));
  }
  for (const Option& option : typed.declared())
    if (typed.is_set(option.name))
      fail(Code::invalid_argument, "{} is for a measurement from functions: name their --platform",
           flag_of(option.name));
  if (flags.functions.budget_usd > 0 || !flags.functions.profile.empty())
    fail(Code::invalid_argument,
         "--budget and --profile are for a measurement from functions: name their --platform");
  return plan::calibrate(flags.channel, flags.functions.seconds, flags.from);
}

void print_measured(const CalibrateFlags& flags, const plan::Calibration& measured,
                    const Globals& globals) {
  if (globals.json)
    print_json(json_text(nlohmann::ordered_json{
        {"profile", flags.out},
        {"measured", measured.requests},
        {"cost_usd", measured.cost_usd},
        {"ended_by", measured.ended_by ? nlohmann::ordered_json(*measured.ended_by) : nullptr}}));
  else
    print_line(fmt::format(
        "{}: {} requests{}", flags.out, measured.requests,
        measured.cost_usd > 0 ? fmt::format(", ${:.3g}", measured.cost_usd) : std::string()));
}

}  // namespace

void add_calibrate_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(
      app, globals, "calibrate",
      "measure a store, from here or from functions, for a profile of simulations and plans");
  const auto flags = std::make_shared<CalibrateFlags>();
  command->add_option("--channel", flags->channel, "the store, by URI or name")->required();
  command->add_option("--seconds", flags->functions.seconds, "about how long to measure [5]")
      ->check(CLI::Range(0.1, 3600.0));
  command
      ->add_option("--budget", flags->functions.budget_usd,
                   "dollars that functions and their requests may cost [no limit]")
      ->check(CLI::PositiveNumber);
  command->add_option("--profile", flags->functions.profile,
                      "from functions: the profile whose other numbers are kept [the built-in one "
                      "of their architecture]");
  command->add_option("--from", flags->from, "folders of finished jobs, for how workers start");
  command->add_option("-o,--out", flags->out, "where the profile goes [profile.yaml]");
  const auto function_flags = add_function_flags(*command);
  command->callback([=, &globals] {
    const plan::Calibration result = measured(*flags, *function_flags);
    write_output(flags->out, as_bytes(result.profile));
    print_measured(*flags, result, globals);
    if (result.ended_by)
      fail(Code::invalid_argument, "calibrate: ended early, what was measured is kept in {}: {}",
           flags->out, *result.ended_by);
  });
}

}  // namespace lambdaml::cli
