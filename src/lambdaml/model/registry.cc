#include "lambdaml/model/registry.h"

#include <algorithm>

namespace lambdaml::model {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("model", register_plugins);
  return all;
}

const Plugin* find_by_value(std::string_view value) {
  const std::string_view name = value.substr(0, value.find(':'));
  for (const Plugin& plugin : registry().entries()) {
    if (name.size() < value.size() && plugin.file_option.empty()) continue;
    if (plugin.name == name || std::ranges::find(plugin.aliases, name) != plugin.aliases.end())
      return &plugin;
  }
  return nullptr;
}

}  // namespace lambdaml::model
