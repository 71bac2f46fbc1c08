#pragma once

#include <memory>
#include <string>

#include "lambdaml/model/engine.h"

namespace lambdaml::torch_library {

std::unique_ptr<model::Engine> make_network_engine(const model::Network& network,
                                                   const model::EngineSettings& settings);
model::LoadedNetwork load_script(Bytes file, const std::string& what,
                                 const model::ScriptShape& shape,
                                 const model::EngineSettings& settings);

}  // namespace lambdaml::torch_library
