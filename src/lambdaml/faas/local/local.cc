#include "lambdaml/faas/registry.h"

namespace lambdaml::faas::local {

void register_plugin(Registry&) {}

}  // namespace lambdaml::faas::local
