#pragma once

#include <string>
#include <string_view>

namespace lambdaml::aws {

/// What the shell command writes to its standard output (64 KB at most); its standard error is
/// dropped, for it may hold secrets. Throws permission_denied, naming `what` and not the output,
/// when the command fails or does not end within `timeout_s`; then it is killed.
std::string output_of(const std::string& command, double timeout_s, std::string_view what);

}  // namespace lambdaml::aws
