#pragma once

#include <string_view>
#include <vector>

#include "lambdaml/tensor/kernel_table.h"

/// Internal to the layer and its tests.
namespace lambdaml::tensor {

/// The kernels that this processor supports, the best first; `portable` is the last.
std::vector<const KernelTable*> usable_kernels();

/// The kernels of that name, or the best ones for an empty name. Throws invalid_argument if the
/// name is unknown or the processor does not support them.
const KernelTable& kernels_named(std::string_view name);

}  // namespace lambdaml::tensor
