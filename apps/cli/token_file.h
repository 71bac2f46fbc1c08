#pragma once

#include <string>

namespace lambdaml::cli {

/// The first line of the file. Throws not_found, and invalid_argument if it is empty.
std::string read_token(const std::string& path);

}  // namespace lambdaml::cli
