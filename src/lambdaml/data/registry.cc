#include "lambdaml/data/registry.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/foreign.h"
#include "lambdaml/data/weights.h"

namespace lambdaml::data {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("data format", register_plugins);
  return all;
}

Options format_options() {
  std::vector<Option> all;
  for (const Plugin& plugin : registry().entries()) add_options(all, plugin.options);
  return Options(std::move(all));
}

Dataset read_with(const Plugin& plugin, std::shared_ptr<const Buffer> bytes, ReadOptions how,
                  const Options& given) {
  how.options = options_of(plugin, given);
  // Rows for a model need no weights.
  const bool is_for_model = how.features != 0 || !how.tensors.empty();
  const WeightColumn weights = is_for_model ? WeightColumn({}) : WeightColumn(given);
  if (!plugin.holds_weights && how.options.find("weight_column") == nullptr)
    require_weights(weights, false, how.what);
  Dataset out = plugin.read(std::move(bytes), how);
  require_weights(weights, !out.weights.empty(), how.what);
  return out;
}

Options options_of(const Plugin& plugin, const Options& given) {
  return with_values_of(plugin.options, given);
}

void tell_of_unused(const Plugin& plugin, const Options& given) {
  for (const Option& option : given.declared()) {
    if (!is_changed(given, option.name)) continue;
    const auto declares = [&](const Plugin& one) {
      return std::ranges::find(one.options, option.name, &Option::name) != one.options.end();
    };
    if (declares(plugin)) continue;
    std::vector<std::string> owners;
    for (const Plugin& other : registry().entries())
      if (declares(other)) owners.push_back(other.name);
    if (!owners.empty())
      log::warn_once(
          fmt::format("the option {} has no effect: it belongs to format {}, and the data are {}",
                      option.name, join(owners, " or "), plugin.name));
  }
}

Choice choose_format(std::string_view format, const Options& options) {
  if (format == "auto") {
    for (const Plugin& plugin : registry().entries())
      if (plugin.is_meant_by && plugin.is_meant_by(options_of(plugin, options)))
        return {&plugin, Form::automatic};
    return {};
  }
  for (const Plugin& plugin : registry().entries()) {
    if (plugin.name == format) return {&plugin, Form::automatic};
    if (std::find(plugin.formats.begin(), plugin.formats.end(), format) == plugin.formats.end())
      continue;
    const bool dense = format.starts_with("dense_");
    const bool sparse = format.starts_with("sparse_");
    return {&plugin, dense ? Form::dense : sparse ? Form::sparse : Form::automatic};
  }
  std::vector<std::string> names = format_names();
  names.insert(names.begin(), "auto");
  fail(Code::invalid_argument, "unknown data format '{}'{}", printable(format),
       did_you_mean(format, names));
}

const Plugin& plugin_for(Bytes bytes, const Choice& choice, const std::string& what) {
  const Bytes head = bytes.first(std::min<std::size_t>(bytes.size(), 4096));
  if (choice.plugin != nullptr && choice.plugin->recognizes(head)) return *choice.plugin;
  const Plugin* found = nullptr;
  for (const Plugin& plugin : registry().entries()) {
    if (choice.plugin != nullptr || !plugin.recognizes(head)) continue;
    if (plugin.record_bytes == 0 || bytes.size() % plugin.record_bytes == 0) return plugin;
    if (found == nullptr) found = &plugin;  // cut short, if it is of no other format
  }
  refuse_foreign(head, what);
  if (found != nullptr) return *found;
  if (choice.plugin != nullptr) return *choice.plugin;  // its reader says what is wrong
  fail(Code::data_corrupt,
       "reading {}: the bytes look like no known format ({}); name it by --format", what,
       join(format_names(), ", "));
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Plugin& plugin : registry().entries())
    names.insert(names.end(), plugin.formats.begin(), plugin.formats.end());
  return names;
}

}  // namespace lambdaml::data
