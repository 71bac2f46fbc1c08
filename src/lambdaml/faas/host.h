#pragma once

#include <functional>
#include <optional>
#include <string>

/// Where this process runs, as its platform tells its functions.
namespace lambdaml::faas {

/// The deployed function that this process is an instance of.
struct OwnFunction {
  std::string platform;  ///< the plug-in that it is deployed on
  std::string name;
  /// Sends an event to a new instance of the function without waiting for its end: one request.
  /// Throws the error that the platform's service reports.
  std::function<void(const std::string& payload)> invoke;
};

/// nullopt if this process is not an instance of a deployed function.
std::optional<OwnFunction> own_function();

/// The region of this process, or whose prices apply to it; empty if unknown.
std::string own_region();

}  // namespace lambdaml::faas
