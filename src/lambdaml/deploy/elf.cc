#include "lambdaml/deploy/elf.h"

#include <cstring>

#include <elf.h>

#include "lambdaml/base/error.h"

namespace lambdaml::deploy {
namespace {

template <class T>
T read_at(Bytes file, std::uint64_t offset, const std::string& what) {
  T value;
  if (offset > file.size() || file.size() - offset < sizeof value)
    fail(Code::data_corrupt, "{}: it is cut off", what);
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

}  // namespace

Elf read_elf(Bytes file, const std::string& what) {
  if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0)
    fail(Code::data_corrupt, "{}: it is no executable (ELF)", what);
  const auto head = read_at<Elf64_Ehdr>(file, 0, what);
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB)
    fail(Code::data_corrupt, "{}: Lambda runs 64-bit little-endian programs only", what);
  Elf elf;
  if (head.e_machine == EM_X86_64)
    elf.architecture = "x86_64";
  else if (head.e_machine == EM_AARCH64)
    elf.architecture = "arm64";
  else
    fail(Code::data_corrupt, "{}: it is for machine {}; Lambda has x86_64 and arm64", what,
         head.e_machine);
  for (std::uint64_t i = 0; i < head.e_phnum; ++i) {
    if (head.e_phoff > file.size()) fail(Code::data_corrupt, "{}: it is cut off", what);
    const auto part = read_at<Elf64_Phdr>(file, head.e_phoff + i * head.e_phentsize, what);
    if (part.p_type != PT_INTERP) continue;
    if (part.p_filesz == 0 || part.p_offset > file.size() ||
        file.size() - part.p_offset < part.p_filesz)
      fail(Code::data_corrupt, "{}: it is cut off", what);
    const char* text = reinterpret_cast<const char*>(file.data()) + part.p_offset;
    elf.loader.assign(text, strnlen(text, part.p_filesz));
  }
  return elf;
}

}  // namespace lambdaml::deploy
