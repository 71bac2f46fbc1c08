#include "lambdaml/faas/host.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "lambdaml/faas/registry.h"

namespace lambdaml::faas {

std::optional<OwnFunction> own_function() {
  for (const Plugin& plugin : registry().entries())
    if (plugin.own_function)
      if (std::optional<OwnFunction> found = plugin.own_function()) {
        found->platform = plugin.name;
        return found;
      }
  return {};
}

std::optional<int> own_memory_mb() {
  // Of the Runtime API's contract, which local functions keep too.
  const char* text = std::getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
  if (text == nullptr) return {};
  const std::string_view digits(text);
  int megabytes = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), megabytes);
  if (error != std::errc() || end != digits.data() + digits.size() || megabytes <= 0) return {};
  return megabytes;
}

std::string own_region() {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
    if (const char* region = std::getenv(name); region != nullptr && *region != '\0') return region;
  return {};
}

}  // namespace lambdaml::faas
