#include "apps/cli/run.h"

#include <algorithm>

#include "apps/cli/command.h"
#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/options.h"

namespace lambdaml::cli {
namespace {

/// docs/errors.md documents these.
int exit_code(Code code) {
  if (is_bad_input(code)) return 2;
  switch (code) {
    case Code::limit_reached:
      return 3;
    case Code::workers_lost:
      return 4;
    case Code::cancelled:
      return kInterrupted;
    default:
      return 1;
  }
}

const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

std::string path_of(const CLI::App& app) {
  return app.get_parent() == nullptr ? "lambdaml"
                                     : path_of(*app.get_parent()) + " " + app.get_name();
}

/// The command's options that may be meant by an unknown one.
std::string hint_for_option(const CLI::App& command, const std::string& wanted) {
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  if (std::ranges::find(known, wanted) != known.end())
    return fmt::format(" before the command: write it after '{}'", path_of(command));
  // Job files know some options by other names too.
  const Options options = job::job_options();
  const std::size_t begin = std::min(wanted.find_first_not_of('-'), wanted.size());
  if (const Option* option = options.find(wanted.substr(begin)))
    if (std::ranges::find(known, flag_of(option->name)) != known.end())
      return fmt::format(", did you mean '{}'?", flag_of(option->name));
  return did_you_mean(wanted, known);
}

/// Describes an error of the command line, with the nearest known name for an unknown one.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = innermost(app);
  const std::string hint = fmt::format(" (see {} --help)", path_of(command));
  const std::vector<std::string> extra = app.remaining(true);
  if (!extra.empty()) {
    const std::string wanted = extra.front().substr(0, extra.front().find('='));
    if (wanted.starts_with("-"))
      return fmt::format("unknown option '{}'{}{}", without_secrets(wanted),
                         hint_for_option(command, wanted), hint);
    std::vector<std::string> known;
    for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(sub->get_name());
    if (known.empty())
      return fmt::format("'{}' is one argument too many{}", without_secrets(wanted), hint);
    return fmt::format("unknown command '{}'{}{}", without_secrets(wanted),
                       did_you_mean(wanted, known), hint);
  }
  std::string text = error.what();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return std::string(trim(text)) + hint;
}

}  // namespace

namespace {

/// They are accepted before the command and after it.
void add_globals(CLI::App& app, Globals& globals) {
  app.add_flag("--json", globals.json, "print a JSON object as the last line");
  app.add_flag("-q,--quiet", globals.quiet, "no progress");
  app.add_flag("-v,--verbose", globals.verbose, "errors with their causes, and logs");
}

}  // namespace

CLI::App* add_command(CLI::App& parent, Globals& globals, const std::string& name,
                      const std::string& help, Interrupt interrupt) {
  CLI::App* command = parent.add_subcommand(name, help);
  add_globals(*command, globals);
  command->option_defaults()->always_capture_default(false);
  command->parse_complete_callback([&globals, interrupt] {
    if (interrupt == Interrupt::ends) globals.last_resort.emplace();
    log::configure(globals.verbose ? log::Level::info : log::Level::warning, log::Format::text);
  });
  return command;
}

void print_error(const std::string& text) { tell_line("lambdaml: " + text); }

namespace {

/// The application; where arguments are only parsed, no command is run.
class Application final : public CLI::App {
 public:
  using CLI::App::App;

 private:
  void pre_callback() override {
    if (only_parses()) throw CLI::Success();
  }
};

}  // namespace

bool only_parses() { return environment_variable("LAMBDAML_PARSE_ONLY").has_value(); }

int run(int argc, const char* const* argv) {
  Globals globals;
  Application app("LambdaML: machine-learning training on serverless functions", "lambdaml");
  app.require_subcommand(1);
  add_globals(app, globals);
  app.set_version_flag("--version", std::string("lambdaml ") + LAMBDAML_VERSION);
  add_train_command(app, globals);
  add_tune_command(app, globals);
  add_resume_command(app, globals);
  add_status_command(app, globals);
  add_logs_command(app, globals);
  add_stop_command(app, globals);
  add_ls_command(app, globals);
  add_report_command(app, globals);
  add_predict_command(app, globals);
  add_model_command(app, globals);
  add_data_command(app, globals);
  add_storage_command(app, globals);
  add_bench_command(app, globals);
  add_package_command(app, globals);
  add_deploy_command(app, globals);
  add_invoke_command(app, globals);
  add_destroy_command(app, globals);
  add_emulate_command(app, globals);
  add_ps_command(app, globals);
  add_doctor_command(app, globals);
  add_options_command(app, globals);
  add_pages_commands(app, globals);
  try {
    app.parse(argc, argv);
    return globals.exit_code;
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    print_error(usage_error(app, error));
    return 2;
  } catch (const OutputClosed&) {
    return kOutputClosed;
  } catch (const std::exception& error) {
    print_error(error.what());
    if (globals.verbose)
      for (const std::string& cause : split(causes_of(error), '\n'))
        if (!cause.empty()) tell_line("  because: " + cause);
    return exit_code(code_of(error));
  }
}

}  // namespace lambdaml::cli
