#include "lambdaml/storage/registry.h"

namespace lambdaml::storage {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("storage scheme", register_plugins);
  return all;
}

Reach reach_of(const Uri& uri) { return registry().get(uri.scheme).reach; }

}  // namespace lambdaml::storage
