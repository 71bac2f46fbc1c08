#pragma once

#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>

namespace lambdaml::faas::sandbox {

/// The thread of a server inside a host program: it runs an event loop, leaves signals to the host
/// program's threads, and logs what handlers throw and continues.
class LoopThread {
 public:
  /// Starts running `loop`, which must outlive this object; `name` is the server in log lines, as
  /// in "the dashboard".
  LoopThread(boost::asio::io_context& loop, std::string name);
  /// Waits until the loop has ended: because it was stopped, or has nothing left to do.
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

 private:
  std::thread thread_;
};

}  // namespace lambdaml::faas::sandbox
