#include "lambdaml/deploy/elf.h"

#include <cstring>

#include <elf.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/elf.h"

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
  const std::optional<std::string> architecture = elf_architecture(file);
  if (!architecture) fail(Code::data_corrupt, "{}: it is no executable (ELF)", what);
  const auto head = read_at<Elf64_Ehdr>(file, 0, what);
  if (architecture->empty())
    fail(Code::data_corrupt,
         "{}: it is for another machine ({}); Lambda runs 64-bit programs for x86_64 and arm64",
         what, head.e_machine);
  Elf elf{.architecture = *architecture};
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
