#pragma once

#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::model {

/// Throws invalid_argument if the file is what torch.save() writes, or safetensors, and shows how
/// to export a module instead. Reads names only: nothing is unpickled. Other faults are left to
/// libtorch.
void require_script_file(Bytes file, const std::string& what);

}  // namespace lambdaml::model
