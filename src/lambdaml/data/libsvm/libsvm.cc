#include "lambdaml/data/registry.h"

namespace lambdaml::data::libsvm {

void register_plugin(Registry&) {}

}  // namespace lambdaml::data::libsvm
