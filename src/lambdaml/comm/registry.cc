#include "lambdaml/comm/registry.h"

namespace lambdaml::comm {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("sync mode");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

}  // namespace lambdaml::comm
