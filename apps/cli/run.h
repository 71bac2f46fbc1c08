#pragma once

namespace lambdaml::cli {

/// Parses the arguments, runs the command and returns the exit code; every error becomes one line
/// on stderr.
int run(int argc, const char* const* argv);

}  // namespace lambdaml::cli
