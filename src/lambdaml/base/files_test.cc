#include "lambdaml/base/files.h"

#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lambdaml-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(Files, WhatWasWrittenIsRead) {
  write_file(folder_ / "a", as_bytes("hello"));
  EXPECT_EQ(read_file(folder_ / "a")->text(), "hello");
  write_file(folder_ / "a", as_bytes(""), true);
  EXPECT_EQ(read_file(folder_ / "a")->size(), 0U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1)
      << "a temporary file was left behind";
}

TEST_F(Files, AbsenceIsNoError) {
  EXPECT_FALSE(read_file(folder_ / "none"));
  EXPECT_FALSE(read_file(folder_));
  EXPECT_FALSE(read_file("/proc/self/status/x"));
}

TEST_F(Files, FilesWithoutASizeAreReadToTheirEnd) {
  EXPECT_NE(read_file("/proc/self/status")->text().find("Name:"), std::string_view::npos);
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
