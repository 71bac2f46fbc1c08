#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/runtime.h"

/// The caller's side: starts functions in parallel, one event each, and tells how each ended.
namespace lambdaml::faas {

/// How an event stands.
struct EventStatus {
  enum class State { waiting, running, succeeded, failed };
  State state = State::waiting;
  int attempts = 0;      ///< tries begun, of the latest invocation
  std::string response;  ///< succeeded: what the handler returned
  std::string
      error_type;  ///< of the last try that failed: an error code's name, Runtime.ExitError,
                   ///< Runtime.Killed, Runtime.OutOfMemory or Sandbox.Timedout
  std::string error_message;                ///< one line: signal or exit code, and what was said
  std::vector<std::string> last_log_lines;  ///< of the last try that failed, at most 10
  bool may_still_run = false;               ///< failed: nothing more is heard of it
  int process_id = 0;                       ///< while running, where there is a process
};

/// What is started for each event.
struct Function {
  std::string handler = "worker";    ///< _HANDLER
  std::filesystem::path executable;  ///< platforms that start processes
  /// Platforms that do not; absent: the one of that name in handlers().
  Handler in_process;
  int memory_mb = 1769;        ///< 128 to 10,240
  double timeout_s = 900;      ///< of one try
  int retries = 2;             ///< more tries after the first, as AWS gives an event
  double retry_delay_s = 0.1;  ///< before the first retry; doubles
  /// Whether another try of an event that failed with this error type can help. Called from the
  /// invoker's threads.
  std::function<bool(std::string_view error_type)> worth_a_retry = is_worth_a_retry;
  /// Whether a response says that the work goes on: the same event is then sent again, as a new one
  /// with its own time and tries. Absent: never. Called from the invoker's threads.
  std::function<bool(const std::string& response)> goes_on;
  std::map<std::string, std::string> environment;
  /// Each event's stderr goes to LOG_FOLDER/worker-INDEX.log, appended over its tries. Empty:
  /// nowhere.
  std::filesystem::path log_folder;

  // For functions that are deployed elsewhere: the platform `aws`.
  std::string name = {};  ///< name or ARN of the deployed function
  /// The events need each other (a bulk-synchronous job): all must run at the same time.
  bool all_at_once = false;
  /// How the caller can tell how events stand, for the platform does not say. Asked by one thread,
  /// of all that run at once, from once to four times a second (less often where the answer takes
  /// longer); answers in the order of `events`. Succeeded or failed ends an event; `running` is a
  /// sign of life with the tries so far; absent says nothing. What it throws fails the events,
  /// unless that is worth a retry (unavailable, deadline_exceeded).
  using Outcomes =
      std::function<std::vector<std::optional<EventStatus>>(std::span<const std::size_t> events)>;
  Outcomes outcomes = {};
};

/// The events of one call. Thread-safe. Destroying it cancels what still runs.
class Invocations {
 public:
  virtual ~Invocations() = default;
  /// Waits until all have ended, one has failed for good, or `seconds` have passed. Whether it is
  /// over (all ended or one failed for good).
  virtual bool wait(double seconds) = 0;
  /// One per payload, in their order.
  virtual std::vector<EventStatus> status() const = 0;
  /// Ends everything that runs, at once, and returns when nothing is left: no process, no socket.
  virtual void cancel() = 0;
};

/// Called once for each try that failed, before status() tells of it, from the invoker's thread,
/// which all events wait for meanwhile: for the progress display. It may not call cancel(); what it
/// throws is logged and dropped.
using FailureObserver = std::function<void(std::size_t event, const EventStatus&, bool will_retry)>;

class Invoker {
 public:
  virtual ~Invoker() = default;
  /// Starts all events in parallel and returns at once. Each gets its own execution environment. A
  /// try that fails (error, crash, time-out, out of memory) is repeated in a fresh one, `retries`
  /// times at the most.
  /// Throws not_found (no executable, no such function), resource_exhausted (no processes or
  /// descriptors left, a concurrency limit below what all_at_once needs), invalid_argument.
  virtual std::unique_ptr<Invocations> invoke_all(const Function& function,
                                                  std::vector<std::string> payloads,
                                                  FailureObserver observer = {}) = 0;
};

}  // namespace lambdaml::faas
