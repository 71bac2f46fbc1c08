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

/// Who may use what is made. What a command keeps for itself (runs, logs, checkpoints, values of a
/// channel) is the owner's alone; a file that the user asked for by name (`--out`) is as any other
/// program would make it.
enum class Access {
  owner,  ///< files 0600, folders 0700
  umask,  ///< 0666 and 0777 less the umask
};

struct WriteOptions {
  bool durable = false;  ///< the bytes are on the disk before the name is
  Access access = Access::owner;
};

/// Writes to a temporary name in the same folder, then renames: a reader sees the old bytes, the
/// new ones or nothing, and a failure leaves the old. Does not create the folder. Throws
/// resource_exhausted on a full disk, permission_denied, not_found (no folder).
void write_file(const std::filesystem::path& path, Bytes bytes, WriteOptions options = {});

/// A file to append to, made when it is not there. Throws as write_file does.
FileDescriptor open_to_append(const std::filesystem::path& path, Access access = Access::owner);
void append_to_file(const std::filesystem::path& path, Bytes bytes, Access access = Access::owner);

/// Creates the folder and its parents, if need be, below a folder that can be trusted; elsewhere
/// see base/own_folder.h.
void make_folder(const std::filesystem::path& path, Access access = Access::owner);

/// The folder for short-lived files that processes share: shared
/// memory where there is some (/dev/shm), else the temporary folder.
std::filesystem::path shared_memory_folder();

}  // namespace lambdaml
