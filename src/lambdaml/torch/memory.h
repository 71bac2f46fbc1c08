#pragma once

namespace lambdaml::torch_library {

/// From now on the memory of tensors is kept when they go, for the next ones. Once per process.
void keep_memory_of_tensors();

}  // namespace lambdaml::torch_library
