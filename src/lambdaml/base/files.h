#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// An open file descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Gives the descriptor away; this closes nothing any more.
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// The whole file, or absence when there is none (a directory counts as none). Throws
/// permission_denied, resource_exhausted or internal, naming the path.
std::optional<Buffer> read_file(const std::filesystem::path& path);

/// Writes to a temporary name in the same folder, then renames: a reader sees the old bytes, the
/// new ones or nothing, and a failure leaves the old. Does not create the folder. Throws
/// resource_exhausted on a full disk, permission_denied, not_found (no folder).
/// With `durable` the bytes are on the disk before the name is.
void write_file(const std::filesystem::path& path, Bytes bytes, bool durable = false);

/// Appends to a file, making it when it is not there. Throws as write_file does.
void append_to_file(const std::filesystem::path& path, Bytes bytes);

/// Creates the folder and its parents, if need be.
void make_folder(const std::filesystem::path& path);

/// The folder for short-lived files that processes share: shared
/// memory where there is some (/dev/shm), else the temporary folder.
std::filesystem::path shared_memory_folder();

}  // namespace lambdaml
