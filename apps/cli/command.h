#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "apps/cli/last_resort.h"
#include "apps/cli/terminal.h"

/// The commands of `lambdaml`. Each file adds one to the application; main.cc runs the selected
/// one.
namespace lambdaml::cli {

/// Flags that every command has.
struct Globals {
  bool json = false;     ///< the last line of stdout is one JSON object
  bool quiet = false;    ///< no progress
  bool verbose = false;  ///< show causes of errors, and logs at level info and above
  int exit_code = 0;     ///< of a command that ends without an error
  std::optional<LastResort> last_resort;  ///< for a command that an interrupt ends
};

void add_train_command(CLI::App& app, Globals& globals);
void add_tune_command(CLI::App& app, Globals& globals);
void add_resume_command(CLI::App& app, Globals& globals);
void add_status_command(CLI::App& app, Globals& globals);
void add_logs_command(CLI::App& app, Globals& globals);
void add_stop_command(CLI::App& app, Globals& globals);
void add_ls_command(CLI::App& app, Globals& globals);
void add_report_command(CLI::App& app, Globals& globals);
void add_dashboard_command(CLI::App& app, Globals& globals);
void add_predict_command(CLI::App& app, Globals& globals);
void add_model_command(CLI::App& app, Globals& globals);
void add_data_command(CLI::App& app, Globals& globals);
void add_storage_command(CLI::App& app, Globals& globals);
void add_bench_command(CLI::App& app, Globals& globals);
void add_package_command(CLI::App& app, Globals& globals);
void add_deploy_command(CLI::App& app, Globals& globals);
void add_invoke_command(CLI::App& app, Globals& globals);
void add_destroy_command(CLI::App& app, Globals& globals);
void add_emulate_command(CLI::App& app, Globals& globals);
void add_ps_command(CLI::App& app, Globals& globals);
void add_doctor_command(CLI::App& app, Globals& globals);
void add_simulate_command(CLI::App& app, Globals& globals);
void add_plan_command(CLI::App& app, Globals& globals);
void add_calibrate_command(CLI::App& app, Globals& globals);
void add_prices_command(CLI::App& app, Globals& globals);
void add_options_command(CLI::App& app, Globals& globals);
/// `completion` and `man`: added last, for they describe the other commands.
void add_pages_commands(CLI::App& app, Globals& globals);

enum class Interrupt {
  ends,    ///< ends the command, as cancelled, whatever it does
  is_end,  ///< is the usual end of a server, which handles it itself
};
/// Adds a subcommand with the flags that all commands have.
CLI::App* add_command(CLI::App& parent, Globals& globals, const std::string& name,
                      const std::string& help, Interrupt interrupt = Interrupt::ends);

/// Whether arguments are only to be parsed, as the environment says by LAMBDAML_PARSE_ONLY: for
/// checking documented commands, whose data and services do not exist.
bool only_parses();

/// Prints the line of an error.
void print_error(const std::string& text);
inline constexpr int kInterrupted = 130;   ///< the exit code
inline constexpr int kOutputClosed = 141;  ///< the exit code, as of a program that SIGPIPE ended

}  // namespace lambdaml::cli
