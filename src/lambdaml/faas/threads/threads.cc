#include "lambdaml/faas/registry.h"

namespace lambdaml::faas::threads {

void register_plugin(Registry&) {}

}  // namespace lambdaml::faas::threads
