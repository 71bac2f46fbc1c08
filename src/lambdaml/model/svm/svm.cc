#include "lambdaml/model/registry.h"

namespace lambdaml::model::svm {

void register_plugin(Registry&) {}

}  // namespace lambdaml::model::svm
