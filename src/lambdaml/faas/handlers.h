#pragma once

#include <map>
#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::faas {

/// The function handlers of this process, by name: those that the function executable serves, and
/// those that a platform with in-process workers runs. main() must fill it before any other thread
/// starts; after that any thread may read it.
std::map<std::string, Handler>& handlers();

}  // namespace lambdaml::faas
