#pragma once

#include <string>

namespace lambdaml::log {

/// Logs a warning unless this process has logged the same text before: for conditions that recur
/// each time something is opened. Thread-safe.
void warn_once(const std::string& message);

}  // namespace lambdaml::log
