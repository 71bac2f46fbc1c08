#include "lambdaml/faas/registry.h"

namespace lambdaml::faas {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("platform");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

}  // namespace lambdaml::faas
