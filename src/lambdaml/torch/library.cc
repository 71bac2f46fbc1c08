#include "lambdaml/torch/memory.h"
#include "lambdaml/torch/network_engine.h"

extern "C" __attribute__((visibility("default"))) const lambdaml::model::EngineLibrary*
lambdaml_engine_library() {
  using namespace lambdaml;
  static constexpr model::EngineLibrary library{.network = torch_library::make_network_engine,
                                                .script = torch_library::load_script};
  torch_library::keep_memory_of_tensors();
  return &library;
}
