#include "lambdaml/optim/registry.h"

namespace lambdaml::optim {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("optimizer", register_plugins);
  return all;
}

}  // namespace lambdaml::optim
