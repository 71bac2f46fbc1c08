#pragma once

#include <map>
#include <string>
#include <string_view>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::faas {

struct Function;

/// The function handlers of this process, by name: those that the function executable serves, and
/// those that a platform with in-process workers runs. main() must fill it before any other thread
/// starts; after that any thread may read it.
std::map<std::string, Handler>& handlers();

/// For a platform whose events run in this process: the function's own handler, else the one of its
/// name in handlers(). Throws Error(invalid_argument) if there is none.
Handler handler_here(const Function& function, std::string_view platform);

}  // namespace lambdaml::faas
