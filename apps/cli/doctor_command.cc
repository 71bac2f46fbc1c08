#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "lambdaml/base/json.h"
#include "lambdaml/doctor/doctor.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/options.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

using doctor::Check;

constexpr int kChecksFailed = 1;  ///< the exit code

std::string line_of_check(const Check& check) {
  const std::string word =
      check.state == Check::State::failed ? "FAILED" : doctor::to_string(check.state);
  return fmt::format("{:<8} {}: {}{}", word, check.name, check.detail,
                     check.advice.empty() ? "" : "; " + check.advice);
}

void print_examination(const doctor::Examination& examination) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const Check& check : examination.checks)
    checks.push_back({{"name", check.name},
                      {"ok", check.state != Check::State::failed},
                      {"state", doctor::to_string(check.state)},
                      {"needed", check.needed},
                      {"detail", check.detail},
                      {"advice", check.advice},
                      {"seconds", check.seconds}});
  print_json(json_text(nlohmann::ordered_json{{"ok", examination.passed()}, {"checks", checks}}));
}

}  // namespace

void add_doctor_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(
      app, globals, "doctor",
      "check whether jobs, or one with these options, can run here; say what is missing");
  const auto flags = std::make_shared<OptionFlags>(*command, job::job_options(), true);
  command->callback([flags, &globals] {
    job::Given given{
        .file = flags->job_file(), .section = tune::kSection, .typed = job::job_options()};
    flags->apply_to(given.typed);
    const Options options = job::unresolved_options_of(given);
    const doctor::Examination examination = doctor::examine(options, [&](const Check& check) {
      if (!globals.json) print_line(line_of_check(check));
    });
    if (globals.json) print_examination(examination);
    globals.exit_code = examination.passed() ? 0 : kChecksFailed;
    // A thread that hangs in a call of the system cannot be ended otherwise.
    if (examination.hangs) ::_exit(globals.exit_code);
  });
}

}  // namespace lambdaml::cli
