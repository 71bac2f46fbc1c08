#include "lambdaml/storage/registry.h"

namespace lambdaml::storage {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("storage scheme");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

Reach reach_of(const Uri& uri) { return registry().get(uri.scheme).reach; }

}  // namespace lambdaml::storage
