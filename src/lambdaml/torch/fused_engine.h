#pragma once

#include <memory>

#include "lambdaml/model/engine.h"

namespace lambdaml::torch_library {

/// An engine for networks of convolutions with batch normalization; null if this one is none of
/// those: see fused_plan.h.
std::unique_ptr<model::Engine> make_fused_engine(const model::Network& network,
                                                 const model::EngineSettings& settings);

}  // namespace lambdaml::torch_library
