#include "lambdaml/deploy/elf.h"

#include <algorithm>
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

/// The text at that place of the file, up to its null byte.
std::string text_in(Bytes file, std::uint64_t offset, std::uint64_t most, const std::string& what) {
  if (offset > file.size() || file.size() - offset < most)
    fail(Code::data_corrupt, "{}: it is cut off", what);
  const char* text = reinterpret_cast<const char*>(file.data()) + offset;
  return {text, strnlen(text, most)};
}

/// The names that the dynamic section lists.
std::vector<std::string> needed_by(Bytes file, const std::vector<Elf64_Phdr>& parts,
                                   const std::string& what) {
  std::vector<std::uint64_t> names;
  std::uint64_t table = 0, bytes = 0;
  for (const Elf64_Phdr& part : parts) {
    if (part.p_type != PT_DYNAMIC) continue;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= part.p_filesz; at += sizeof(Elf64_Dyn)) {
      if (part.p_offset > file.size()) fail(Code::data_corrupt, "{}: it is cut off", what);
      const auto entry = read_at<Elf64_Dyn>(file, part.p_offset + at, what);
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_NEEDED) names.push_back(entry.d_un.d_val);
      if (entry.d_tag == DT_STRTAB) table = entry.d_un.d_ptr;
      if (entry.d_tag == DT_STRSZ) bytes = entry.d_un.d_val;
    }
  }
  if (names.empty()) return {};
  // The table is told by its place in memory.
  const auto loaded = std::ranges::find_if(parts, [&](const Elf64_Phdr& part) {
    return part.p_type == PT_LOAD && table >= part.p_vaddr && table - part.p_vaddr < part.p_filesz;
  });
  if (loaded == parts.end() || bytes > file.size() || loaded->p_offset > file.size())
    fail(Code::data_corrupt, "{}: its table of names is not in it", what);
  const std::uint64_t start = loaded->p_offset + (table - loaded->p_vaddr);
  std::vector<std::string> out;
  for (const std::uint64_t name : names) {
    if (name >= bytes) fail(Code::data_corrupt, "{}: its table of names is too short", what);
    out.push_back(text_in(file, start + name, bytes - name, what));
  }
  return out;
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
  std::vector<Elf64_Phdr> parts;
  for (std::uint64_t i = 0; i < head.e_phnum; ++i) {
    if (head.e_phoff > file.size()) fail(Code::data_corrupt, "{}: it is cut off", what);
    parts.push_back(read_at<Elf64_Phdr>(file, head.e_phoff + i * head.e_phentsize, what));
    if (parts.back().p_type != PT_INTERP) continue;
    if (parts.back().p_filesz == 0) fail(Code::data_corrupt, "{}: it is cut off", what);
    elf.loader = text_in(file, parts.back().p_offset, parts.back().p_filesz, what);
  }
  elf.needed = needed_by(file, parts, what);
  return elf;
}

}  // namespace lambdaml::deploy
