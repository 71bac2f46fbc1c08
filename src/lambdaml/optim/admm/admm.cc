#include "lambdaml/optim/registry.h"

namespace lambdaml::optim::admm {

void register_plugin(Registry&) {}

}  // namespace lambdaml::optim::admm
