#include "lambdaml/faas/host.h"

#include "lambdaml/faas/registry.h"

namespace lambdaml::faas {

std::optional<OwnFunction> own_function() {
  for (const Plugin& plugin : registry().entries())
    if (plugin.own_function)
      if (std::optional<OwnFunction> found = plugin.own_function()) {
        found->platform = plugin.name;
        return found;
      }
  return {};
}

std::string own_region() {
  for (const Plugin& plugin : registry().entries())
    if (plugin.own_region)
      if (std::string region = plugin.own_region(); !region.empty()) return region;
  return {};
}

}  // namespace lambdaml::faas
