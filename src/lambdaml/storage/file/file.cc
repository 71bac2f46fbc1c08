#include "lambdaml/storage/registry.h"

namespace lambdaml::storage::file {

void register_plugin(Registry&) {}

}  // namespace lambdaml::storage::file
