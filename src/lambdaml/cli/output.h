#pragma once

#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::cli {

/// Writes where the user said: "-" is standard output, a device or a pipe is written into, a link
/// is followed, a file is replaced as a whole, and a URI goes to its store.
void write_output(const std::string& place, Bytes bytes);

}  // namespace lambdaml::cli
