#include "lambdaml/model/registry.h"

namespace lambdaml::model::lr {

void register_plugin(Registry&) {}

}  // namespace lambdaml::model::lr
