#include "lambdaml/storage/registry.h"

namespace lambdaml::storage {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("storage scheme", register_plugins);
  return all;
}

Options options_in(const Uri& uri, std::vector<Option> declared) {
  Options options(std::move(declared));
  for (const auto& [name, value] : uri.query) options.parse(name, value, uri.display());
  return options;
}

std::shared_ptr<Storage> open_with(const Plugin& plugin, const Uri& uri,
                                   std::shared_ptr<Patience> patience) {
  if (plugin.options.empty()) return plugin.open(uri, Options(), std::move(patience));
  return plugin.open(uri, options_in(uri, plugin.options), std::move(patience));
}

Reach reach_of(const Uri& uri) {
  const Plugin& plugin = registry().get(uri.scheme);
  return plugin.reach_at ? plugin.reach_at(uri) : plugin.reach;
}

std::optional<std::filesystem::path> local_file(const Uri& uri) {
  const Plugin* plugin = registry().find(uri.scheme);
  if (plugin == nullptr || !plugin->local_file) return {};
  return plugin->local_file(uri);
}

}  // namespace lambdaml::storage
