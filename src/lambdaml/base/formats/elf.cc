#include "lambdaml/base/formats/elf.h"

#include <cstring>

#include <elf.h>

namespace lambdaml {

std::optional<std::string> elf_architecture(Bytes head) {
  if (head.size() < SELFMAG || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0) return {};
  Elf64_Ehdr header;
  if (head.size() < sizeof header) return "";
  std::memcpy(&header, head.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) return "";
  if (header.e_machine == EM_X86_64) return "x86_64";
  if (header.e_machine == EM_AARCH64) return "arm64";
  return "";
}

}  // namespace lambdaml
