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

/// Takes what a process prints from a pipe, appends it to a file and keeps the last lines. Used by
/// the loop's thread alone. A full disk stops the file, never the process.
class LogPipe {
 public:
  static constexpr std::size_t kLines = 10;
  static constexpr std::size_t kLineBytes = 500;  ///< more of a line is kept in the file only

  /// `file` may be empty: nothing is written then. Throws permission_denied and its like when the
  /// file cannot be opened.
  /// `observer`, if any, is shown all bytes as they come.
  LogPipe(boost::asio::io_context& loop, FileDescriptor pipe, const std::filesystem::path& file,
          std::function<void(std::string_view)> observer = {});

  /// What comes from now on goes to that file, and the last lines are those that come from now on.
  void write_to(const std::filesystem::path& file);
  /// Reads on as the loop runs, until close() or the pipe's end; keeps `owner`, in which this lies,
  /// alive meanwhile.
  void start(std::shared_ptr<void> owner);
  /// Reads all that stands in the pipe now.
  void drain();
  void close();
  /// Printable, oldest first.
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
