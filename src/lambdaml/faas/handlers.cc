#include "lambdaml/faas/handlers.h"

#include "lambdaml/base/error.h"
#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

std::map<std::string, Handler>& handlers() {
  static std::map<std::string, Handler> all;
  return all;
}

Handler handler_here(const Function& function, std::string_view platform) {
  if (function.in_process) return function.in_process;
  const auto found = handlers().find(function.handler);
  if (found == handlers().end())
    fail(Code::invalid_argument, "the platform '{}' needs a handler of this process for {}",
         platform, function.handler);
  return found->second;
}

}  // namespace lambdaml::faas
