#include "lambdaml/optim/registry.h"

namespace lambdaml::optim::em {

void register_plugin(Registry&) {}

}  // namespace lambdaml::optim::em
