#include "lambdaml/faas/sandbox/log_pipe.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::sandbox {
namespace {

// More than a pipe holds, and small enough that a process with much output does not block the loop
// for others.
constexpr int kReadsAtATime = 8;

}  // namespace

LogPipe::LogPipe(boost::asio::io_context& loop, FileDescriptor pipe,
                 const std::filesystem::path& file, std::function<void(std::string_view)> observer)
    : pipe_(loop), observer_(std::move(observer)) {
  open_file(file);
  pipe_.assign(pipe.release());
}

void LogPipe::open_file(const std::filesystem::path& file) {
  path_ = file;
  file_.reset();
  if (file.empty()) return;
  file_ = open_to_append(file);
}

void LogPipe::write_to(const std::filesystem::path& file) {
  drain();
  open_file(file);
  lines_.clear();
  unfinished_.clear();
}

void LogPipe::start(std::shared_ptr<void> owner) {
  pipe_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [this, owner](const boost::system::error_code& error) {
                     if (error) return;
                     drain();
                     if (pipe_.is_open()) start(owner);
                   });
}

void LogPipe::drain() {
  std::array<char, 64 << 10> buffer;
  for (int i = 0; i < kReadsAtATime && pipe_.is_open(); ++i) {
    const ssize_t n = read(pipe_.native_handle(), buffer.data(), buffer.size());
    if (n > 0) take({buffer.data(), static_cast<std::size_t>(n)});
    if (n == 0) close();
    if (n <= 0 && errno != EINTR) return;
  }
}

void LogPipe::close() {
  boost::system::error_code ignored;
  pipe_.close(ignored);
}

void LogPipe::take(std::string_view bytes) {
  if (observer_) observer_(bytes);
  for (std::string_view left = bytes; file_ && !left.empty();) {
    const ssize_t n = write(file_.get(), left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      log::warning("cannot write on to the log {}: {}", path_.string(), std::strerror(errno));
      file_.reset();
      break;
    }
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    unfinished_ += part.substr(0, kLineBytes - std::min(kLineBytes, unfinished_.size()));
    if (end == std::string_view::npos) return;
    lines_.push_back(std::exchange(unfinished_, {}));
    if (lines_.size() > kLines) lines_.pop_front();
    bytes.remove_prefix(end + 1);
  }
}

std::vector<std::string> LogPipe::last_lines() const {
  std::vector<std::string> out;
  for (const std::string& line : lines_) out.push_back(printable(line, kLineBytes));
  if (!unfinished_.empty()) out.push_back(printable(unfinished_, kLineBytes));
  if (out.size() > kLines) out.erase(out.begin());
  return out;
}

}  // namespace lambdaml::faas::sandbox
