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
  /// Releases ownership: the destructor no longer closes the descriptor.
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// The whole file, or nullopt if there is none (a directory counts as none). Regular files of more
/// than 8 MB are read by up to four threads. Throws permission_denied, resource_exhausted or
/// internal, naming the path.
std::optional<Buffer> read_file(const std::filesystem::path& path);

/// Who may access a new file. Files that a command keeps for itself (runs, logs, checkpoints,
/// values of a channel) are for their owner only; a file that the user asked for by name (`--out`)
/// gets the usual permissions.
enum class Access {
  owner,  ///< files 0600, folders 0700
  umask,  ///< 0666 and 0777 less the umask
};

struct WriteOptions {
  bool durable = false;  ///< sync the bytes to disk before the rename
  Access access = Access::owner;
};

/// Writes to a temporary name in the same folder, then renames it: a reader sees the old bytes, the
/// new bytes or no file, and after an error the old file is unchanged. Does not create the folder.
/// Throws resource_exhausted for a full disk, permission_denied, or not_found if the folder is
/// missing.
void write_file(const std::filesystem::path& path, Bytes bytes, WriteOptions options = {});

/// Opens a file for appending and creates it if it is absent. Throws as write_file() does.
FileDescriptor open_to_append(const std::filesystem::path& path, Access access = Access::owner);
void append_to_file(const std::filesystem::path& path, Bytes bytes, Access access = Access::owner);

/// Creates the folder and its missing parents, below a folder that can be trusted; otherwise use
/// base/own_folder.h.
void make_folder(const std::filesystem::path& path, Access access = Access::owner);

/// The folder for short-lived files that processes share: shared memory (/dev/shm) if available,
/// otherwise the temporary folder.
std::filesystem::path shared_memory_folder();

}  // namespace lambdaml
