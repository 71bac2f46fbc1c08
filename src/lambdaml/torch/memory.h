#pragma once

namespace lambdaml::torch_library {

/// From now on the memory of freed tensors is kept for later ones. Call once per process.
void keep_memory_of_tensors();

}  // namespace lambdaml::torch_library
