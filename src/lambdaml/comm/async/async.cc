#include "lambdaml/comm/registry.h"

namespace lambdaml::comm::async {

void register_plugin(Registry&) {}

}  // namespace lambdaml::comm::async
