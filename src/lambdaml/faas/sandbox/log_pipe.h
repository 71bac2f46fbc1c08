#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "lambdaml/base/files.h"

namespace lambdaml::faas::sandbox {

/// Reads a process's output from a pipe, appends it to a file and keeps the last lines. Used by the
/// loop's thread only. A full disk stops the file, never the process.
class LogPipe {
 public:
  static constexpr std::size_t kLines = 10;
  static constexpr std::size_t kLineBytes = 500;  ///< longer lines are complete only in the file

  /// `file` may be empty: then nothing is written. `observer`, if any, receives all bytes as they
  /// arrive. Throws permission_denied or another file error if the file cannot be opened.
  LogPipe(boost::asio::io_context& loop, FileDescriptor pipe, const std::filesystem::path& file,
          std::function<void(std::string_view)> observer = {});

  /// From now on, writes output to that file and starts the last lines anew.
  void write_to(const std::filesystem::path& file);
  /// Reads while the loop runs, until close() or the end of the pipe; keeps `owner`, which contains
  /// this object, alive meanwhile.
  void start(std::shared_ptr<void> owner);
  /// Reads everything that is in the pipe now.
  void drain();
  void close();
  /// Printable; oldest first.
  std::vector<std::string> last_lines() const;

 private:
  void open_file(const std::filesystem::path& file);
  void take(std::string_view bytes);

  boost::asio::posix::stream_descriptor pipe_;
  FileDescriptor file_;
  std::filesystem::path path_;
  std::function<void(std::string_view)> observer_;
  std::deque<std::string> lines_;
  std::string unfinished_;
};

}  // namespace lambdaml::faas::sandbox
