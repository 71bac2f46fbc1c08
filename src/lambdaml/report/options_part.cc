#include "lambdaml/report/options_part.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"

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

bool declares(const model::Plugin& model, const std::string& option) {
  return std::ranges::find(model.options, option, &Option::name) != model.options.end();
}

/// Whether the option is one of models, but not of this one.
bool is_of_other_models(const std::string& option, const model::Plugin* model) {
  return (model == nullptr || !declares(*model, option)) &&
         std::ranges::any_of(model::registry().entries(),
                             [&](const model::Plugin& other) { return declares(other, option); });
}

/// `options` with what a new job chooses where nothing is set.
Options with_defaults(Options options) {
  const model::Plugin* const model = model::registry().find(options.text("model"));
  const auto choose = [&](const auto* plugin) {
    if (plugin == nullptr || !plugin->defaults) return;
    for (const auto& [name, value] : plugin->defaults(options))
      if (options.find(name) != nullptr && !options.is_set(name) &&
          !is_of_other_models(name, model))
        options.parse(name, value, plugin->name);
  };
  choose(model);
  choose(optim::registry().find(options.text("optim")));
  return options;
}

/// The options of a job that a command must name so that a new job has them all: those that are not
/// the declared defaults, and those for which a new job would choose another value.
Options needed(const Options& job) {
  Options named = job::job_options();
  const auto name = [&](const std::string& option) {
    named.set(option, job.value(option), "report");
  };
  name("optim");
  for (const Option& option : job.declared())
    if (option.name != "output" && is_changed(job, option.name)) name(option.name);
  // A name that is added may lead to other choices.
  for (bool is_whole = false; !is_whole;) {
    is_whole = true;
    const Options chosen = with_defaults(named);
    for (const Option& option : job.declared())
      if (option.name != "output" && !named.is_set(option.name) &&
          to_text(chosen.value(option.name)) != to_text(job.value(option.name))) {
        name(option.name);
        is_whole = false;
      }
  }
  return named;
}

std::string words_of(const Options& options, const std::function<bool(const Option&)>& is_named) {
  std::string out;
  for (const Option& option : options.declared()) {
    if (!is_named(option)) continue;
    if (type_of(option) != OptionType::flag)
      out += " " + flag_of(option.name) + " " + word_of(to_text(options.value(option.name)));
    else if (options.flag(option.name))
      out += " " + flag_of(option.name);
    else
      out += " --no-" + flag_of(option.name).substr(2);
  }
  return out;
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

std::string command_of_job(const Options& job) {
  const Options named = needed(job);
  return "lambdaml train" +
         words_of(named, [&](const Option& option) { return named.is_set(option.name); });
}

std::string command_of_search(const Options& settings) {
  return "lambdaml tune JOB.yaml" + words_of(settings, [&](const Option& option) {
           return is_changed(settings, option.name);
         });
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
