#include "lambdaml/tune/registry.h"

namespace lambdaml::tune {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("strategy", register_plugins);
  return all;
}

}  // namespace lambdaml::tune
