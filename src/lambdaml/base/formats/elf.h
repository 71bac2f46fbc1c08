#pragma once

#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// The machine that a program is for, by the first 64 bytes of its file: "x86_64", "arm64", or ""
/// for any other, for 32-bit and big-endian programs and for a head that is cut. nullopt when it is
/// no ELF file.
std::optional<std::string> elf_architecture(Bytes head);

}  // namespace lambdaml
