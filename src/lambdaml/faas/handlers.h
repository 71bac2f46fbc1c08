#pragma once

#include <map>
#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::faas {

/// The function handlers of this process, by name: what the function executable serves, and what a
/// platform runs whose workers are threads of this process. To be filled by main() before any other
/// thread begins; read by any.
std::map<std::string, Handler>& handlers();

}  // namespace lambdaml::faas
