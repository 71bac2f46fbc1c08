#pragma once

#include <functional>
#include <optional>
#include <string>

/// Where this process runs: what its platform tells a function of itself.
namespace lambdaml::faas {

/// The deployed function that this process is an instance of.
struct OwnFunction {
  std::string platform;  ///< the plug-in that it is deployed on
  std::string name;
  /// Sends an event to a fresh instance of the function, without waiting for its end: one request.
  /// Throws what the platform's service answers.
  std::function<void(const std::string& payload)> invoke;
};

/// Absent where this process is no instance of a deployed function.
std::optional<OwnFunction> own_function();

/// The memory that this process may use, as its function was configured; absent where nobody said.
std::optional<int> own_memory_mb();

/// The region that this process is in, or whose prices count for it; empty where nobody said.
std::string own_region();

}  // namespace lambdaml::faas
