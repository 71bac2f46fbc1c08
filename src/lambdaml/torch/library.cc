#include "lambdaml/torch/fused_engine.h"
#include "lambdaml/torch/memory.h"
#include "lambdaml/torch/network_engine.h"

namespace {

std::unique_ptr<lambdaml::model::Engine> make_engine(
    const lambdaml::model::Network& network, const lambdaml::model::EngineSettings& settings) {
  using namespace lambdaml::torch_library;
#ifdef LAMBDAML_ONEDNN
  if (auto engine = make_fused_engine(network, settings)) return engine;
#endif
  return make_network_engine(network, settings);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const lambdaml::model::EngineLibrary*
lambdaml_engine_library() {
  using namespace lambdaml;
  static constexpr model::EngineLibrary library{.network = make_engine,
                                                .script = torch_library::load_script};
  torch_library::keep_memory_of_tensors();
  return &library;
}
