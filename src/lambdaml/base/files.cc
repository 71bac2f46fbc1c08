#include "lambdaml/base/files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/wait.h"

namespace lambdaml {

namespace fs = std::filesystem;

namespace {

mode_t mode_of_files(Access access) { return access == Access::owner ? 0600 : 0666; }

/// 0, or the errno of the write that failed.
int write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR && !interrupt_deadline().passed()) continue;
    if (n < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

bool is_standard_input(const fs::path& path) {
  return path == "/dev/stdin" || path == "/dev/fd/0" || path == "/proc/self/fd/0";
}

/// Blocks if the file is a pipe without a writer.
int open_to_read(const fs::path& path) {
  while (true) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) return fd;
    // open(2) opens no socket by a name, and programs start others with one as standard input.
    if (errno == ENXIO && is_standard_input(path)) return ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (errno != EINTR) return fd;
    throw_if_interrupted();
  }
}

/// As read(2), but waits for bytes if the descriptor does not.
std::size_t read_some(const FileDescriptor& file, std::byte* to, std::size_t most,
                      const fs::path& path) {
  while (true) {
    const ssize_t n = ::read(file.get(), to, most);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN)
      wait_until_ready(file.get(), POLLIN, Deadline::never());
    else if (errno != EINTR)
      fail_errno(errno, fmt::format("reading {}", path.string()));
    throw_if_interrupted();
  }
}

/// Fills the buffer with the beginning of a regular file; returns how much of it there was. Large
/// files are read by several threads: copying, and clearing new memory, is what takes the time.
std::size_t read_beginning(const FileDescriptor& file, Buffer& buffer, const fs::path& path) {
  constexpr std::size_t kPiece = 8 << 20;
  constexpr std::size_t kMostThreads = 4;
  const std::size_t pieces = buffer.size() / kPiece + 1;
  std::vector<std::size_t> ends(pieces);
  const auto read_piece = [&](std::size_t i) {
    std::size_t& at = ends[i] = i * kPiece;
    const std::size_t end = std::min(at + kPiece, buffer.size());
    while (at < end) {
      const ssize_t n = ::pread(file.get(), buffer.data() + at, end - at, static_cast<off_t>(at));
      if (n == 0) return;  // truncated meanwhile
      if (n < 0 && errno != EINTR) fail_errno(errno, fmt::format("reading {}", path.string()));
      if (n < 0) throw_if_interrupted();
      if (n > 0) at += static_cast<std::size_t>(n);
    }
  };
  std::atomic<std::size_t> next{0};
  const auto read_pieces = [&] {
    for (std::size_t i = next++; i < pieces; i = next++) read_piece(i);
  };
  std::vector<Background> others;
  try {
    while (others.size() + 1 < std::min({pieces, kMostThreads, processors()}))
      others.emplace_back(read_pieces);
  } catch (const std::system_error&) {  // no thread can be started: those that were will do
  }
  read_pieces();
  for (Background& other : others) other.get();
  std::size_t i = 0;
  while (i + 1 < pieces && ends[i] == (i + 1) * kPiece) ++i;
  return ends[i];
}

}  // namespace

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::optional<Buffer> read_file(const fs::path& path) {
  const FileDescriptor file(open_to_read(path));
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    fail_errno(errno, fmt::format("reading {}", path.string()));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail_errno(errno, fmt::format("reading {}", path.string()));
  if (S_ISDIR(info.st_mode)) return {};
  Buffer buffer(static_cast<std::size_t>(info.st_size));
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    buffer.truncate(read_beginning(file, buffer, path));
    return buffer;
  }
  std::size_t have = 0;
  while (true) {
    if (have == buffer.size()) {
      // Only a read tells the end of a pipe, or of a file of the kernel that claims to be empty.
      std::byte extra{};
      if (read_some(file, &extra, 1, path) == 0) break;
      Buffer larger(buffer.size() * 2 + 65536);
      if (have != 0) std::memcpy(larger.data(), buffer.data(), have);
      larger.data()[have++] = extra;
      buffer = std::move(larger);
      continue;
    }
    const std::size_t n = read_some(file, buffer.data() + have, buffer.size() - have, path);
    if (n == 0) break;
    have += n;
  }
  buffer.truncate(have);
  return buffer;
}

void write_file(const fs::path& path, Bytes bytes, WriteOptions options) {
  static std::atomic<unsigned> serial{0};
  const fs::path temporary =
      path.parent_path() /
      fmt::format(".{}.{}.{}.tmp", path.filename().string(), ::getpid(), serial++);
  const auto give_up = [&](int error) {
    ::unlink(temporary.c_str());
    fail_errno(error, fmt::format("writing {}", path.string()));
  };
  FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                             mode_of_files(options.access)));
  if (!file) fail_errno(errno, fmt::format("writing {}", path.string()));
  if (const int error = write_all(file.get(), bytes); error != 0) give_up(error);
  if (options.durable && ::fsync(file.get()) != 0) give_up(errno);
  file.reset();
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up(errno);
}

FileDescriptor open_to_append(const fs::path& path, Access access) {
  FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_of_files(access)));
  if (!file) fail_errno(errno, fmt::format("writing {}", path.string()));
  return file;
}

void append_to_file(const fs::path& path, Bytes bytes, Access access) {
  const FileDescriptor file = open_to_append(path, access);
  if (const int error = write_all(file.get(), bytes); error != 0)
    fail_errno(error, fmt::format("writing {}", path.string()));
}

void make_folder(const fs::path& path, Access access) {
  fs::path made;
  for (const fs::path& part : path) {
    made /= part;
    if (::mkdir(made.c_str(), access == Access::owner ? 0700 : 0777) != 0 && errno != EEXIST)
      fail_errno(errno, fmt::format("making the folder {}", path.string()));
  }
  std::error_code ignored;
  if (!fs::is_directory(path.empty() ? "." : path, ignored))
    fail_errno(ENOTDIR, fmt::format("making the folder {}", path.string()));
}

fs::path shared_memory_folder() {
  std::error_code error;
  const fs::path shm = "/dev/shm";
  if (fs::is_directory(shm, error) && ::access(shm.c_str(), W_OK | X_OK) == 0) return shm;
  return fs::temp_directory_path();
}

}  // namespace lambdaml
