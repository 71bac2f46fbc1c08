#pragma once

#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::deploy {

/// What an executable says of itself in its headers.
struct Elf {
  std::string architecture;  ///< as Lambda names it: x86_64 or arm64
  std::string loader = {};   ///< the program that loads its libraries; empty: it is static
};

/// Reads the headers of a 64-bit little-endian ELF file; any bytes will do. Throws data_corrupt
/// naming `what` when they are none, or of a machine that Lambda does not have.
Elf read_elf(Bytes file, const std::string& what);

}  // namespace lambdaml::deploy
