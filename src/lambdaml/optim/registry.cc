#include "lambdaml/optim/registry.h"

namespace lambdaml::optim {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("optimizer");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

}  // namespace lambdaml::optim
