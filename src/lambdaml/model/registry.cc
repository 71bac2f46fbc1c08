#include "lambdaml/model/registry.h"

namespace lambdaml::model {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("model");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

}  // namespace lambdaml::model
