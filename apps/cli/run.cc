#include "apps/cli/run.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/help.h"
#include "apps/cli/option_flags.h"
#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/job/options.h"

namespace lambdaml::cli {
namespace {

/// docs/reference/errors.md documents these.
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
      return fmt::format("'{}' is one argument too many{}{}", without_secrets(wanted),
                         is_word_of_a_flag(wanted)
                             ? "; the value of an option that is on or off follows after ="
                             : "",
                         hint);
    return fmt::format("unknown command '{}'{}{}", without_secrets(wanted),
                       did_you_mean(wanted, known), hint);
  }
  std::string text = error.what();
  // The library has the name of the type between them, which is left empty: "--x: 1 required
  // missing".
  constexpr std::string_view kRequired = ": 1 required ";
  if (const std::size_t at = text.find(kRequired);
      at != std::string::npos && text.ends_with("missing"))
    text.replace(at, std::string::npos, ": its value is missing");
  for (char& c : text)
    if (c == '\n') c = ' ';
  return std::string(trim(text)) + hint;
}

}  // namespace

namespace {

/// A heading of the help, and what adds the commands below it, by their names.
struct Subject {
  struct Command {
    std::string_view name;
    void (*add)(CLI::App&, Globals&);
  };
  const char* name;
  std::vector<Command> commands;
};

std::vector<Subject> subjects() {
  return {{"Train and search",
           {{"train", add_train_command},
            {"tune", add_tune_command},
            {"resume", add_resume_command},
            {"plan", add_plan_command},
            {"simulate", add_simulate_command},
            {"calibrate", add_calibrate_command}}},
          {"Watch jobs",
           {{"status", add_status_command},
            {"logs", add_logs_command},
            {"stop", add_stop_command},
            {"ls", add_ls_command},
            {"report", add_report_command},
            {"dashboard", add_dashboard_command}}},
          {"Use models", {{"predict", add_predict_command}, {"model", add_model_command}}},
          {"Data and stores",
           {{"data", add_data_command},
            {"storage", add_storage_command},
            {"bench", add_bench_command}}},
          {"Deploy functions",
           {{"package", add_package_command},
            {"deploy", add_deploy_command},
            {"invoke", add_invoke_command},
            {"destroy", add_destroy_command}}},
          {"Servers here", {{"emulate", add_emulate_command}, {"ps", add_ps_command}}},
          {"Reference",
           {{"doctor", add_doctor_command},
            {"prices", add_prices_command},
            {"options", add_options_command},
            {"", add_pages_commands}}}};  // they describe all others
}

/// Adds the command that the line begins with; all of them if it names none: the hundreds of flags
/// of the others would take longer than some commands do.
void add_commands(CLI::App& app, Globals& globals, const std::vector<std::string>& words) {
  const std::vector<Subject> all = subjects();
  const auto first =
      std::ranges::find_if(words, [](const std::string& word) { return !word.starts_with("-"); });
  const std::string_view wanted = first == words.end() ? std::string_view() : *first;
  const bool is_one = !wanted.empty() && std::ranges::any_of(all, [&](const Subject& subject) {
    return std::ranges::find(subject.commands, wanted, &Subject::Command::name) !=
           subject.commands.end();
  });
  for (const Subject& subject : all)
    for (const Subject::Command& command : subject.commands) {
      if (is_one && command.name != wanted) continue;
      const std::size_t before = app.get_subcommands({}).size();
      command.add(app, globals);
      const auto commands = app.get_subcommands({});
      for (std::size_t i = before; i < commands.size(); ++i) commands[i]->group(subject.name);
    }
}

/// They are accepted before the command and after it.
void add_globals(CLI::App& app, Globals& globals) {
  constexpr const char* kOutput = "Output";
  app.add_flag("--json", globals.json, "print a JSON object as the last line")->group(kOutput);
  app.add_flag("-q,--quiet", globals.quiet, "no progress")->group(kOutput);
  app.add_flag("-v,--verbose", globals.verbose, "errors with their causes, and logs")
      ->group(kOutput);
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

/// Whether --json was given, also where the command line could not be parsed.
bool is_json_wanted(const Globals& globals, int argc, const char* const* argv) {
  return globals.json || std::any_of(argv + std::min(argc, 1), argv + argc, [](const char* word) {
           return std::string_view(word) == "--json";
         });
}

/// Reports an error: one line on standard error and, with --json, an object on standard output,
/// unless the command has printed its result there. Returns the exit code.
int tell_failure(bool as_json, const std::string& text, std::string_view code, int exit_code) {
  print_error(text);
  if (!as_json || has_printed_json()) return exit_code;
  try {
    print_json(json_text(nlohmann::ordered_json{
        {"error", redacted(text)}, {"code", std::string(code)}, {"exit_code", exit_code}}));
  } catch (const Error&) {
    // Nobody reads it, or the disk is full: the line was printed.
  }
  return exit_code;
}

}  // namespace

std::vector<std::string> words_of(int argc, const char* const* argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    // `--out=~/x`, which shells leave alone.
    const std::size_t value = word.starts_with("--") ? word.find("=~/") : std::string_view::npos;
    words.push_back(value == std::string_view::npos
                        ? word.starts_with("~/") ? with_home(word) : std::string(word)
                        : std::string(word.substr(0, value + 1)) +
                              with_home(word.substr(value + 1)));
  }
  return words;
}

bool only_parses() { return environment_variable("LAMBDAML_PARSE_ONLY").has_value(); }

int run(int argc, const char* const* argv) {
  Globals globals;
  Application app("LambdaML: machine-learning training on serverless functions", "lambdaml");
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  add_globals(app, globals);
  app.set_version_flag("--version", std::string("lambdaml ") + LAMBDAML_VERSION);
  std::vector<std::string> words = words_of(argc, argv);
  add_commands(app, globals, words);
  try {
    std::ranges::reverse(words);  // as it takes them
    app.parse(std::move(words));
    return globals.exit_code;
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return tell_failure(is_json_wanted(globals, argc, argv), usage_error(app, error),
                        to_string(Code::invalid_argument), 2);
  } catch (const OutputClosed&) {
    return kOutputClosed;
  } catch (const std::exception& error) {
    const Code code = code_of(error);
    tell_failure(globals.json, error.what(), to_string(code), exit_code(code));
    if (globals.verbose)
      for (const std::string& cause : split(causes_of(error), '\n'))
        if (!cause.empty()) tell_line("  because: " + cause);
    return exit_code(code);
  }
}

}  // namespace lambdaml::cli
