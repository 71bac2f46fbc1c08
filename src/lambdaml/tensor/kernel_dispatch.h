#pragma once

#include <string_view>
#include <vector>

#include "lambdaml/tensor/kernel_table.h"

/// Internal to the layer and its tests.
namespace lambdaml::tensor {

/// The kernels this processor can run, the best first; `portable` is the last.
std::vector<const KernelTable*> usable_kernels();

/// The usable kernels of that name, the best ones for an empty name. Throws invalid_argument for a
/// name that is unknown or that the processor cannot run.
const KernelTable& kernels_named(std::string_view name);

}  // namespace lambdaml::tensor
