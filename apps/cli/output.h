#pragma once

#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::cli {

/// Writes where the user said: "-" is standard output, a device or a pipe is written into, a link
/// of the user's is followed, a file is replaced as a whole, and a URI goes to its store. It is an
/// ordinary file of the user's, as the umask has it.
void write_output(const std::string& place, Bytes bytes);

}  // namespace lambdaml::cli
