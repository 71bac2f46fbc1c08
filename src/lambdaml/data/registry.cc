#include "lambdaml/data/registry.h"

namespace lambdaml::data {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("data format", register_plugins);
  return all;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Plugin& plugin : registry().entries())
    names.insert(names.end(), plugin.formats.begin(), plugin.formats.end());
  return names;
}

}  // namespace lambdaml::data
