#pragma once

#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::cli {

/// Writes to a destination that the user named: "-" is standard output, a device or pipe is written
/// to, a link of the user's is followed, a file is replaced as a whole with permissions by the
/// umask, and a URI is saved in its store.
void write_output(const std::string& place, Bytes bytes);

}  // namespace lambdaml::cli
