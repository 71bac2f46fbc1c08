#include "lambdaml/base/bytes.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/memory.h"

namespace lambdaml {
namespace {

TEST(Buffer, IsAlignedAndKeepsItsBytesWhenItIsMoved) {
  for (const std::size_t size : {0U, 1U, 63U, 64U, 65U, 5'000'000U}) {
    Buffer buffer(size);
    ASSERT_NE(buffer.data(), nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % Buffer::kAlignment, 0U);
    if (size == 0) continue;
    buffer.data()[size - 1] = std::byte{7};
    const std::byte* const place = buffer.data();
    Buffer moved(std::move(buffer));
    Buffer assigned;
    assigned = std::move(moved);
    EXPECT_EQ(assigned.data(), place);
    EXPECT_EQ(assigned.data()[size - 1], std::byte{7});
    EXPECT_EQ(assigned.size(), size);
  }
}

TEST(Buffer, OfASizeThatIsNoneIsRefused) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the allocators of sanitizers end the process";
#endif
  EXPECT_THROW(Buffer(SIZE_MAX), std::bad_alloc);
  EXPECT_THROW(Buffer(SIZE_MAX - Buffer::kAlignment), std::bad_alloc);
}

/// As workers do between rounds: buffers of a few sizes come and go, and others stay.
int heap_in_buffers() {
  keep_freed_memory();
  constexpr std::size_t kBytes = 2'500'000;
  const std::size_t before = ::mallinfo2().arena;  // of tests that ran in this process
  std::vector<Buffer> kept;
  for (int round = 0; round < 50; ++round) {
    std::vector<Buffer> messages;
    for (int i = 0; i < 4; ++i) messages.emplace_back(kBytes);
    kept.emplace_back(1000);  // lies between them, so that what is freed does not grow together
  }
  return static_cast<int>((::mallinfo2().arena - before + kBytes - 1) / kBytes);
}

TEST(Buffer, MemoryThatWasFreedIsUsedForTheNextOne) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have an allocator of their own";
#endif
  const pid_t process = ::fork();
  if (process == 0) ::_exit(heap_in_buffers());
  int status = 0;
  ::waitpid(process, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_LE(WEXITSTATUS(status), 8) << "buffers of the heap, of which 4 were ever used at a time";
}

TEST(Buffer, OfAFileIsItsBytesAndLeavesThemAlone) {
  const std::filesystem::path path =
      shared_memory_folder() / ("bytes-test-" + std::to_string(::getpid()));
  write_file(path, as_bytes("what is in the file"));
  std::optional<Buffer> buffer;
  {
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    buffer = Buffer::of_file(file.get(), 19);
  }
  ASSERT_TRUE(buffer.has_value());
  EXPECT_EQ(buffer->text(), "what is in the file");
  buffer->data()[0] = std::byte{'t'};
  EXPECT_EQ(buffer->text(), "that is in the file");
  EXPECT_EQ(read_file(path)->text(), "what is in the file");
  std::filesystem::remove(path);
  const Buffer moved(std::move(*buffer));
  EXPECT_EQ(moved.text(), "that is in the file");
  EXPECT_FALSE(Buffer::of_file(-1, 1).has_value());
}

TEST(Buffer, IsJoinedOfPieces) {
  const std::array pieces{as_bytes("ab"), as_bytes(""), as_bytes("c")};
  EXPECT_EQ(joined(pieces).text(), "abc");
  EXPECT_TRUE(joined({}).empty());
}

}  // namespace
}  // namespace lambdaml
