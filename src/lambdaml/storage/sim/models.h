#pragma once

#include <memory>
#include <string>

#include "lambdaml/sim/world.h"

namespace lambdaml::storage::sim {

/// Outside a simulation: what has a name is shared for as long as the process runs. The first call
/// with a name says whether that store keeps an index, as those of tests may.
std::shared_ptr<lambdaml::sim::StoreModel> model_outside(const std::string& name,
                                                         bool keeps_index = false);

}  // namespace lambdaml::storage::sim
