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

}  // namespace lambdaml::storage
