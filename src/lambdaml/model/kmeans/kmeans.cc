#include "lambdaml/model/registry.h"

namespace lambdaml::model::kmeans {

void register_plugin(Registry&) {}

}  // namespace lambdaml::model::kmeans
