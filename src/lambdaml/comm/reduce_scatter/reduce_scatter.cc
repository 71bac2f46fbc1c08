#include "lambdaml/comm/registry.h"

namespace lambdaml::comm::reduce_scatter {

void register_plugin(Registry&) {}

}  // namespace lambdaml::comm::reduce_scatter
