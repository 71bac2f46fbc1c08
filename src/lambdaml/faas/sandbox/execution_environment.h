#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/faas/sandbox/log_pipe.h"
#include "lambdaml/faas/sandbox/process.h"
#include "lambdaml/faas/sandbox/runtime_api.h"

namespace lambdaml::faas::sandbox {

using Variables = std::map<std::string, std::string>;

/// The variables of this process's environment that a function inherits: PATH, HOME,
/// LD_LIBRARY_PATH, TMPDIR, LAMBDAML_*, AWS_* and the sanitizers' options. No other thread may set
/// variables meanwhile.
Variables inherited_variables();

/// How one attempt of an event ended.
struct AttemptResult {
  std::optional<Failure> failure;
  std::string response;                     ///< without a failure
  std::vector<std::string> last_log_lines;  ///< with one
};

/// One execution environment: a process of the function, its Runtime API endpoint, its log and its
/// limits. It runs one event at a time. Used by the loop's thread only; pending operations keep it
/// alive until the process is reaped.
class ExecutionEnvironment : public std::enable_shared_from_this<ExecutionEnvironment> {
 public:
  struct Settings {
    std::string log_stream;          ///< AWS_LAMBDA_LOG_STREAM_NAME, e.g. "worker-3"
    std::filesystem::path log_file;  ///< empty: none
    Variables inherited;             ///< below those that Lambda sets
    int descriptors = 0;             ///< the process's soft limit on open files
    // For deployed functions.
    std::string function_name;     ///< empty: the handler's
    std::string function_arn;      ///< empty: one made of the handler's name
    std::filesystem::path folder;  ///< LAMBDA_TASK_ROOT and working folder; empty: the executable's
                                   ///< and this process's
    bool limit_allocation = true;  ///< see ProcessSettings; false: limit only memory in RAM
    std::function<void(std::string_view)> on_log;  ///< receives everything that the process prints
    std::function<void()> on_waiting;  ///< the process asks for an event and there is none
    std::function<void()> on_end;      ///< the process has ended
  };
  using Done = std::function<void(AttemptResult)>;

  /// Starts the process. Throws what Process, LogPipe and RuntimeApi throw.
  static std::shared_ptr<ExecutionEnvironment> start(boost::asio::io_context& loop,
                                                     const Function& function,
                                                     const Settings& settings);

  /// Runs an event and calls `done` once: with the function's answer, or with the failure that
  /// ended the process; kills the process after `timeout_s`. An environment whose event succeeded
  /// can run the next one.
  void invoke(std::string request_id, std::string payload, double timeout_s, Done done);

  /// Whether it can run another event: its runtime has started, and it has not been ended.
  bool is_usable() const { return !ended_ && !killed_because_ && api_.has_started(); }
  /// Stops all its processes, as Lambda does between events, or resumes them.
  void freeze(bool frozen) { process_.freeze(frozen); }
  /// The highest private memory seen, in bytes; sampled every 50 ms.
  std::size_t most_memory() const { return most_memory_; }

  int process_id() const { return process_.id(); }
  /// The log file of the next event; empty: none.
  void log_to(const std::filesystem::path& file) { log_.write_to(file); }
  /// Calls `then` when the process has been reaped, at once if it has been already.
  void when_gone(std::function<void()> then);
  /// Lets the runtime end by itself: its next call is answered with 500, and it is killed if it
  /// still runs half a second later. An event in progress is not reported.
  void shut_down();
  /// Kills the process at once; an event in progress is not reported.
  void kill();

 private:
  ExecutionEnvironment(boost::asio::io_context& loop, const Function& function,
                       const Settings& settings);

  ProcessSettings process_settings(const Function& function, const Settings& settings) const;
  void watch_process();
  void watch_memory();
  void on_end(int status);
  void kill_because(std::string_view type, std::string message);
  void finish(AttemptResult result);
  Failure failure_of_exit(int status) const;

  std::string function_arn_;
  const int memory_mb_;
  RuntimeApi api_;
  /// Listens for as long as the process exists: another environment could get a freed port, and a
  /// runtime that is ending would then take its event.
  HttpServer server_;
  Process process_;
  LogPipe log_;
  boost::asio::posix::stream_descriptor end_;
  boost::asio::steady_timer poll_;  ///< if the kernel has no pidfd
  boost::asio::steady_timer memory_;
  boost::asio::steady_timer timeout_;
  Done done_;  ///< set while an event is in progress
  std::optional<Failure> killed_because_;
  bool ended_ = false;
  std::size_t most_memory_ = 0;
  std::function<void()> on_end_;
};

}  // namespace lambdaml::faas::sandbox
