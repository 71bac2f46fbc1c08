#include "lambdaml/data/registry.h"

namespace lambdaml::data::shard {

void register_plugin(Registry&) {}

}  // namespace lambdaml::data::shard
