#include "lambdaml/deploy/elf.h"

#include <cstring>
#include <string>

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"

namespace lambdaml::deploy {
namespace {

std::string program_of(std::uint16_t machine) {
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_ident[EI_DATA] = ELFDATA2LSB;
  head.e_machine = machine;
  head.e_phoff = sizeof head;
  head.e_phentsize = sizeof(Elf64_Phdr);
  head.e_phnum = 1;
  Elf64_Phdr part{};
  part.p_type = PT_INTERP;
  part.p_offset = sizeof head + sizeof part;
  part.p_filesz = 10;
  std::string file(sizeof head + sizeof part, '\0');
  std::memcpy(file.data(), &head, sizeof head);
  std::memcpy(file.data() + sizeof head, &part, sizeof part);
  return file + std::string("/lib/ld.so", 10);
}

TEST(Elf, TellsArchitectureAndLoader) {
  EXPECT_EQ(read_elf(as_bytes(program_of(EM_X86_64)), "x").architecture, "x86_64");
  const Elf arm = read_elf(as_bytes(program_of(EM_AARCH64)), "x");
  EXPECT_EQ(arm.architecture, "arm64");
  EXPECT_EQ(arm.loader, "/lib/ld.so");
}

TEST(Elf, EveryCutIsSaid) {
  const std::string whole = program_of(EM_X86_64);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(read_elf(as_bytes(std::string_view(whole).substr(0, size)), "x"), Error) << size;
}

TEST(Elf, TellsWhatAProgramIsLinkedWith) {
  const Buffer self = *read_file("/proc/self/exe");
  const Elf elf = read_elf(self, "self");
  EXPECT_NE(elf.loader, "");
  EXPECT_THAT(elf.needed, ::testing::Contains("libc.so.6"));
  // Damaged ones are refused or read; nothing is read beyond their end.
  for (std::size_t at = 0; at < 1024; ++at) {
    std::string damaged(self.text().substr(0, 1u << 20));
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    try {
      read_elf(as_bytes(damaged), "damaged");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt);
    }
  }
}

TEST(Elf, WhatIsNoneOfLambdasIsRefused) {
  EXPECT_THROW(read_elf(as_bytes("#!/bin/sh\n"), "x"), Error);
  EXPECT_THROW(read_elf(as_bytes(program_of(EM_RISCV)), "x"), Error);
}

}  // namespace
}  // namespace lambdaml::deploy
