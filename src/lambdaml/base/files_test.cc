#include "lambdaml/base/files.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/parallel.h"

namespace lambdaml {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  const Scratch scratch_{"lambdaml-files-"};
  const fs::path folder_ = scratch_.path();
};

TEST_F(Files, WhatWasWrittenIsRead) {
  write_file(folder_ / "a", as_bytes("hello"));
  EXPECT_EQ(read_file(folder_ / "a")->text(), "hello");
  write_file(folder_ / "a", as_bytes(""), {.durable = true});
  EXPECT_EQ(read_file(folder_ / "a")->size(), 0U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1)
      << "a temporary file was left behind";
}

TEST_F(Files, AreForTheirOwnerUnlessTheUserAskedForThem) {
  const auto mode_of = [&](const char* name) {
    struct stat info {};
    return ::stat((folder_ / name).c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
  };
  const mode_t before = ::umask(0022);
  write_file(folder_ / "own", as_bytes("x"));
  append_to_file(folder_ / "own-log", as_bytes("x"));
  make_folder(folder_ / "a/b");
  write_file(folder_ / "wanted", as_bytes("x"), {.access = Access::umask});
  make_folder(folder_ / "c/d", Access::umask);
  ::umask(before);
  EXPECT_EQ(mode_of("own"), 0600U);
  EXPECT_EQ(mode_of("own-log"), 0600U);
  EXPECT_EQ(mode_of("a"), 0700U);
  EXPECT_EQ(mode_of("a/b"), 0700U);
  EXPECT_EQ(mode_of("wanted"), 0644U);
  EXPECT_EQ(mode_of("c/d"), 0755U);
  EXPECT_THROW(make_folder(folder_ / "own/x"), Error);
  EXPECT_THROW(make_folder(folder_ / "own"), Error);
}

TEST_F(Files, AbsenceIsNoError) {
  EXPECT_FALSE(read_file(folder_ / "none"));
  EXPECT_FALSE(read_file(folder_));
  EXPECT_FALSE(read_file("/proc/self/status/x"));
}

TEST_F(Files, FilesWithoutASizeAreReadToTheirEnd) {
  EXPECT_NE(read_file("/proc/self/status")->text().find("Name:"), std::string_view::npos);
}

TEST_F(Files, LargeOnesAreReadWholeByAllThreads) {
  for (const std::size_t bytes : {(8U << 20) - 1, 8U << 20, (24U << 20) + 5}) {
    Buffer content(bytes);
    for (std::size_t i = 0; i < bytes; ++i) content.data()[i] = static_cast<std::byte>(i * i >> 3);
    write_file(folder_ / "large", content);
    const auto read = read_file(folder_ / "large");
    ASSERT_TRUE(read);
    EXPECT_TRUE(std::ranges::equal(read->view(), content.view())) << bytes;
  }
}

TEST_F(Files, LargeOnesAreReadWithinParallelLoops) {
  for (const char* name : {"0", "1", "2", "3"}) write_file(folder_ / name, Buffer(9U << 20));
  std::atomic<std::size_t> bytes{0};
  parallel_for(4, 4,
               [&](std::size_t i) { bytes += read_file(folder_ / std::to_string(i))->size(); });
  EXPECT_EQ(bytes, 4 * (9U << 20));
}

TEST_F(Files, ASocketAsStandardInputIsRead) {
  for (const int kind : {0, int{SOCK_NONBLOCK}}) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | kind, 0, ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[1]);
      ::dup2(ends[0], STDIN_FILENO);
      const auto bytes = read_file("/dev/stdin");
      ::_exit(bytes && bytes->text() == "one and two" ? 42 : 43);
    }
    ::close(ends[0]);
    ASSERT_EQ(::write(ends[1], "one", 3), 3);
    ::usleep(20'000);
    ASSERT_EQ(::write(ends[1], " and two", 8), 8);
    ::close(ends[1]);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
  }
}

TEST_F(Files, AnErrorNamesThePath) {
  try {
    write_file(folder_ / "no" / "such", as_bytes("x"));
    FAIL() << "wrote into a folder that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found);
    EXPECT_NE(std::string(error.what()).find("no/such"), std::string::npos);
  }
}

}  // namespace
}  // namespace lambdaml
