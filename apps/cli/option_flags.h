#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "lambdaml/base/options.h"

namespace lambdaml::cli {

/// Command-line flags made from declared options, `--set NAME=VALUE` and a job file, with their
/// precedence: flag, then environment, then job file, then default. Must live as long as the
/// application.
class OptionFlags {
 public:
  /// Adds a flag for every option; `job_file` adds the optional positional JOB.yaml.
  OptionFlags(CLI::App& command, Options declared, bool job_file);
  /// Adds a flag for every option that `others` does not declare, and no JOB.yaml; adds `--set` if
  /// `settable`.
  OptionFlags(CLI::App& command, Options declared, const Options& others, bool settable);

  /// The values from all sources. Throws invalid_argument, not_found.
  Options read() const;
  /// The job file's path; empty if none was given.
  const std::string& job_file() const { return job_file_; }
  /// Throws invalid_argument if what should be a job file is meant as the value of a flag before it
  /// (`--shuffle false`).
  void require_no_value(const std::string& job_file) const;
  /// Sets the values from the command line.
  void apply_to(Options& options) const;

 private:
  void add(CLI::App& command, const Option& option);
  void add_set(CLI::App& command);

  Options declared_;
  std::string job_file_;
  std::vector<std::string> sets_;
  std::map<std::string, std::string> texts_;
  std::map<std::string, CLI::Option*> flags_;
};

/// Whether the text is what may be typed for an option that is on or off: true, no, OFF …
bool is_word_of_a_flag(std::string text);

/// Adds `--format` (stored in `format`) and a flag for each option of a format, for the commands
/// that read data. Returns a function that reads the options.
std::shared_ptr<OptionFlags> add_format_flags(CLI::App& command, std::string& format);

}  // namespace lambdaml::cli
