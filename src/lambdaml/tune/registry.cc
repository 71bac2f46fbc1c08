#include "lambdaml/tune/registry.h"

namespace lambdaml::tune {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("strategy");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

}  // namespace lambdaml::tune
