#include "lambdaml/data/registry.h"

namespace lambdaml::data {

const Registry& registry() {
  static const Registry all = [] {
    Registry filling("data format");
    register_plugins(filling);
    return filling;
  }();
  return all;
}

}  // namespace lambdaml::data
