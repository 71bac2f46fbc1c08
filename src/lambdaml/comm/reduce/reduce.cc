#include "lambdaml/comm/registry.h"

namespace lambdaml::comm::reduce {

void register_plugin(Registry&) {}

}  // namespace lambdaml::comm::reduce
