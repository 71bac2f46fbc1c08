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

/// What a function gets of this process's environment: PATH, HOME, LD_LIBRARY_PATH, TMPDIR,
/// LAMBDAML_*, AWS_* and the sanitizers' options. To be called where no other thread sets
/// variables.
Variables inherited_variables();

/// How one try of an event ended.
struct Outcome {
  std::optional<Failure> failure;
  std::string response;                     ///< without a failure
  std::vector<std::string> last_log_lines;  ///< with one
};

/// One execution environment: a process of the function, its Runtime API endpoint, its log, its
/// limits. It runs one event at a time. Belongs to the loop's thread; its waits keep it alive until
/// the process is reaped.
class ExecutionEnvironment : public std::enable_shared_from_this<ExecutionEnvironment> {
 public:
  struct Settings {
    std::string log_stream;          ///< AWS_LAMBDA_LOG_STREAM_NAME, e.g. "worker-3"
    std::filesystem::path log_file;  ///< empty: none
    Variables inherited;             ///< below those that Lambda sets
    int descriptors = 0;             ///< the process's soft limit on open files
    // What a function that was deployed has of its own.
    std::string function_name;     ///< empty: the handler's
    std::string function_arn;      ///< empty: one made of the handler's name
    std::filesystem::path folder;  ///< LAMBDA_TASK_ROOT and working folder; empty: the executable's
                                   ///< and this process's
    bool limit_allocation = true;  ///< see ProcessSettings; false: only what lies in RAM counts
    std::function<void(std::string_view)> on_log;  ///< sees all that it prints
    std::function<void()> on_waiting;              ///< it asks for an event and there is none
    std::function<void()> on_end;                  ///< the process is gone
  };
  using Done = std::function<void(Outcome)>;

  /// Starts the process. Throws what Process, LogPipe and RuntimeApi throw.
  static std::shared_ptr<ExecutionEnvironment> start(boost::asio::io_context& loop,
                                                     const Function& function,
                                                     const Settings& settings);

  /// Runs an event and calls `done` once: with the function's answer, or with what ended the
  /// process; after `timeout_s` it is killed. An environment whose event succeeded may take the
  /// next.
  void invoke(std::string request_id, std::string payload, double timeout_s, Done done);

  /// Whether it can take another event: its runtime has started, and it has not been ended.
  bool is_usable() const { return !ended_ && !killed_because_ && api_.has_started(); }
  /// Stops all its processes where they stand, as Lambda does between events, or lets them go on.
  void freeze(bool frozen) { process_.freeze(frozen); }
  /// The most private memory seen, in bytes; looked at every 50 ms.
  std::size_t most_memory() const { return most_memory_; }

  int process_id() const { return process_.id(); }
  /// Where the log of the next event goes; empty: nowhere.
  void log_to(const std::filesystem::path& file) { log_.write_to(file); }
  /// Calls `then` when the process is reaped, at once if it is.
  void when_gone(std::function<void()> then);
  /// Lets the runtime end by itself: its next call is answered with 500, and what still runs half a
  /// second later is killed. The event in progress, if any, is not reported.
  void shut_down();
  /// Ends the process at once; the event in progress, if any, is not reported.
  void kill();

 private:
  ExecutionEnvironment(boost::asio::io_context& loop, const Function& function,
                       const Settings& settings);

  ProcessSettings process_settings(const Function& function, const Settings& settings) const;
  void watch_process();
  void watch_memory();
  void on_end(int status);
  void kill_because(std::string_view type, std::string message);
  void finish(Outcome outcome);
  Failure failure_of_exit(int status) const;

  std::string function_arn_;
  const int memory_mb_;
  RuntimeApi api_;
  /// Listens as long as the process is there: a port that is free may come to another environment,
  /// whose event an ending runtime would then take.
  HttpServer server_;
  Process process_;
  LogPipe log_;
  boost::asio::posix::stream_descriptor end_;
  boost::asio::steady_timer poll_;  ///< where there is no pidfd
  boost::asio::steady_timer memory_;
  boost::asio::steady_timer timeout_;
  Done done_;  ///< an event is in progress
  std::optional<Failure> killed_because_;
  bool ended_ = false;
  std::size_t most_memory_ = 0;
  std::function<void()> on_end_;
};

}  // namespace lambdaml::faas::sandbox
