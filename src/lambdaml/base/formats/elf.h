#pragma once

#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// The machine that a program is built for, from the first 64 bytes of its file: "x86_64", "arm64",
/// or "" for any other machine, for 32-bit and big-endian programs, and for a truncated header.
/// Returns nullopt if the file is not ELF.
std::optional<std::string> elf_architecture(Bytes head);

}  // namespace lambdaml
