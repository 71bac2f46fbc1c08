#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace lambdaml {

/// The value of an environment variable; absent when it is not set or empty, for scripts clear a
/// variable by setting it to nothing. Thread-safe as long as no thread changes the environment.
inline std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace lambdaml
