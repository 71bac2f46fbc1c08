#pragma once

#include <cstdint>

namespace lambdaml::torch_library {

/// From now on the memory of freed tensors is kept for later ones. Call once per process.
void keep_memory_of_tensors();
/// Of the tensors that there are, without what is kept; 0 unless memory is kept.
std::uint64_t bytes_of_tensors();

}  // namespace lambdaml::torch_library
