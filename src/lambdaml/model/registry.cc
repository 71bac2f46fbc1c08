#include "lambdaml/model/registry.h"

namespace lambdaml::model {

const Registry& registry() {
  static const Registry all = filled_registry<Registry>("model", register_plugins);
  return all;
}

}  // namespace lambdaml::model
