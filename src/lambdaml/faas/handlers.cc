#include "lambdaml/faas/handlers.h"

namespace lambdaml::faas {

std::map<std::string, Handler>& handlers() {
  static std::map<std::string, Handler> all;
  return all;
}

}  // namespace lambdaml::faas
