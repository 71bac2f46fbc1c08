#include "lambdaml/report/options_part.h"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"

namespace lambdaml::report {
namespace {

using nlohmann::ordered_json;

/// `text` as a word of a shell command, with quotes only where they are needed.
std::string word_of(const std::string& text) {
  const bool is_plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_./:,=+@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  return is_plain ? text : quoted_for_shell(text);
}

}  // namespace

Options options_of(const Buffer& job_yaml) {
  Options options = job::job_options();
  job::read_job_text(job_yaml.text(), "job.yaml", options);
  return options;
}

bool rounds_wait(const Options& job) {
  const comm::Plugin* pattern = comm::registry().find(job.text("sync_mode"));
  return pattern != nullptr && pattern->bulk_synchronous;
}

std::string command_of(const std::string& command, const Options& options) {
  std::string out = "lambdaml " + command;
  for (const Option& option : options.declared()) {
    if (!is_changed(options, option.name) || option.name == "output") continue;
    if (type_of(option) != OptionType::flag)
      out += " " + flag_of(option.name) + " " + word_of(to_text(options.value(option.name)));
    else if (options.flag(option.name))
      out += " " + flag_of(option.name);
    else
      out += " --no-" + flag_of(option.name).substr(2);
  }
  return out;
}

ordered_json options_json(const Options& options) {
  ordered_json rows = ordered_json::array();
  for (const Option& option : options.declared()) {
    ordered_json row{{"name", option.name}, {"value", to_text(options.value(option.name))}};
    if (is_changed(options, option.name)) row["changed"] = true;
    if (!option.unit.empty()) row["unit"] = option.unit;
    row["help"] = option.help;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace lambdaml::report
