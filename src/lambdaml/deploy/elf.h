#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::deploy {

/// Properties of an executable from its headers.
struct Elf {
  std::string architecture;  ///< Lambda's name: x86_64 or arm64
  std::string loader = {};   ///< the program that loads its libraries; empty: it is static
  std::vector<std::string> needed = {};  ///< names of the libraries that it is linked with
};

/// Reads the headers of a 64-bit little-endian ELF file; the bytes may be untrusted. Throws
/// data_corrupt, naming `what`, if they are invalid or for a machine that Lambda does not have.
Elf read_elf(Bytes file, const std::string& what);

}  // namespace lambdaml::deploy
