#pragma once

#include <string>
#include <string_view>

namespace lambdaml::aws {

/// Runs a shell command and returns its standard output (at most 64 KB); its standard error is
/// dropped because it may hold secrets. Throws permission_denied, naming `what` and not the output,
/// if the command fails or does not end within `timeout_s`; it is then killed.
std::string output_of(const std::string& command, double timeout_s, std::string_view what);

}  // namespace lambdaml::aws
