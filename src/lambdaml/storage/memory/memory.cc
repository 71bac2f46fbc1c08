#include "lambdaml/storage/registry.h"

namespace lambdaml::storage::memory {

void register_plugin(Registry&) {}

}  // namespace lambdaml::storage::memory
