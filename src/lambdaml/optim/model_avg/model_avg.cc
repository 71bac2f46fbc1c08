#include "lambdaml/optim/registry.h"

namespace lambdaml::optim::model_avg {

void register_plugin(Registry&) {}

}  // namespace lambdaml::optim::model_avg
