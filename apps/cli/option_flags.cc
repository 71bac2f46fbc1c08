#include "apps/cli/option_flags.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <fmt/format.h>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/subjects.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

std::string help_of(const Option& option) {
  std::string text = option.help;
  if (!option.choices.empty()) text += ": " + join(option.choices, ", ");
  const std::string value = to_text(option.default_value);
  if (!value.empty() && !std::holds_alternative<bool>(option.default_value))
    text += fmt::format(" [{}{}{}]", value, option.unit.empty() ? "" : " ", option.unit);
  return text;
}

/// What may be typed for an option that is on or off.
constexpr const char* kWords[] = {"true", "false", "yes", "no", "on", "off", "1", "0"};

/// What is wrong with a value; empty if nothing is.
std::string fault_of(const Option& option, const std::string& value) {
  try {
    Options({option}).parse(option.name, value, flag_of(option.name));
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

OptionFlags::OptionFlags(CLI::App& command, Options declared, bool job_file)
    : declared_(std::move(declared)) {
  if (job_file)
    command.add_option("JOB", job_file_, "job file, YAML or JSON, with options by name");
  for (const Option& option : declared_.declared()) add(command, option);
  add_set(command);
}

OptionFlags::OptionFlags(CLI::App& command, Options declared, const Options& others, bool settable)
    : declared_(std::move(declared)) {
  for (const Option& option : declared_.declared())
    if (others.find(option.name) == nullptr) add(command, option);
  if (settable) add_set(command);
}

void OptionFlags::add(CLI::App& command, const Option& option) {
  const std::string flag = flag_of(option.name);
  std::string& text = texts_[option.name];
  if (std::holds_alternative<bool>(option.default_value)) {
    // --keep, --no-keep, --keep=false
    flags_[option.name] =
        command.add_flag(flag + "{true},!--no-" + flag.substr(2), text, help_of(option));
  } else {
    flags_[option.name] = command.add_option(flag, text, help_of(option))->type_name("");
    if (option.name == "data" || option.name == "test_data")
      flags_[option.name]->join(',');  // several places of one data set
    else
      flags_[option.name]->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  // Otherwise values are read by the command, together with those of other sources.
  if (only_parses())
    flags_[option.name]->check(
        [option](const std::string& value) { return fault_of(option, value); });
  flags_[option.name]->group(job::subject_of(option.name));
}

void OptionFlags::add_set(CLI::App& command) {
  command.add_option("--set", sets_, "set any option: NAME=VALUE")
      ->type_name("")
      ->allow_extra_args(false);
}

bool is_word_of_a_flag(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kWords, text) != std::end(kWords);
}

void OptionFlags::require_no_value(const std::string& job_file) const {
  std::error_code ignored;
  if (!is_word_of_a_flag(job_file) || std::filesystem::exists(job_file, ignored)) return;
  for (const auto& [name, flag] : flags_)
    if (std::holds_alternative<bool>(declared_.find(name)->default_value) && flag->count() > 0)
      fail(Code::invalid_argument,
           "'{}' is no job file: a value of {} follows after =, as in {}={}", job_file,
           flag_of(name), flag_of(name), job_file);
}

Options OptionFlags::read() const {
  Options options = declared_;
  require_no_value(job_file_);
  if (!job_file_.empty()) job::read_job_file(job_file_, options, tune::kSection);
  job::read_environment(options);
  apply_to(options);
  return options;
}

void OptionFlags::apply_to(Options& options) const {
  for (const std::string& pair : sets_) {
    const std::size_t equal = pair.find('=');
    if (equal == std::string::npos || equal == 0)
      fail(Code::invalid_argument, "--set '{}': write NAME=VALUE", printable(pair));
    options.parse(pair.substr(0, equal), pair.substr(equal + 1), "--set");
  }
  for (const auto& [name, flag] : flags_)
    if (flag->count() > 0) options.parse(name, texts_.at(name), flag_of(name));
}

std::shared_ptr<OptionFlags> add_format_flags(CLI::App& command, std::string& format) {
  command.add_option("--format", format, "auto, " + join(data::format_names(), ", "));
  return std::make_shared<OptionFlags>(command, data::format_options(), Options(), false);
}

}  // namespace lambdaml::cli
