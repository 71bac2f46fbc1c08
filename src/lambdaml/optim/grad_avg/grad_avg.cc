#include "lambdaml/optim/registry.h"

namespace lambdaml::optim::grad_avg {

void register_plugin(Registry&) {}

}  // namespace lambdaml::optim::grad_avg
