#include "lambdaml/data/registry.h"

#include "lambdaml/base/option_sets.h"
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
  how.options = with_values_of(plugin.options, given);
  // Rows for a model need no weights.
  const WeightColumn weights = how.features == 0 ? WeightColumn(given) : WeightColumn({});
  if (!plugin.holds_weights && how.options.find("weight_column") == nullptr)
    require_weights(weights, false, how.what);
  Dataset out = plugin.read(std::move(bytes), how);
  require_weights(weights, !out.weights.empty(), how.what);
  return out;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Plugin& plugin : registry().entries())
    names.insert(names.end(), plugin.formats.begin(), plugin.formats.end());
  return names;
}

}  // namespace lambdaml::data
