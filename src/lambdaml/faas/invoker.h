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

/// The caller's side: starts functions in parallel, one event each, and reports how each ended.
namespace lambdaml::faas {

/// The status of an event.
struct EventStatus {
  enum class State { waiting, running, succeeded, failed };
  State state = State::waiting;
  int attempts = 0;        ///< attempts begun, of the latest invocation
  std::string response;    ///< succeeded: what the handler returned
  std::string error_type;  ///< of the last failed attempt: an error code's name, Runtime.ExitError,
                           ///< Runtime.Killed, Runtime.OutOfMemory or Sandbox.Timedout
  std::string error_message;                ///< one line: signal or exit code, and the message
  std::vector<std::string> last_log_lines;  ///< of the last failed attempt, at most 10
  bool may_still_run = false;               ///< failed: only contact was lost
  int process_id = 0;                       ///< while running, if it is a process
};

/// What to start for each event.
struct Function {
  std::string handler = "worker";    ///< _HANDLER
  std::filesystem::path executable;  ///< for platforms that start processes
  /// For other platforms; empty: the one of that name in handlers().
  Handler in_process;
  int memory_mb = 0;           ///< within the platform's range; 0: as usual there
  double timeout_s = 900;      ///< of one attempt
  int retries = 2;             ///< attempts after the first
  double retry_delay_s = 0.1;  ///< before the first retry; doubles
  /// Whether to retry an event that failed with this error type. Called from the invoker's threads.
  std::function<bool(std::string_view error_type)> worth_a_retry = is_worth_a_retry;
  /// Whether a response says that the work continues: the same event is then sent again, as a new
  /// one with its own time limit and attempts. Empty: never. Called from the invoker's threads.
  std::function<bool(const std::string& response)> goes_on;
  std::map<std::string, std::string> environment;
  /// Each event's stderr is written to LOG_FOLDER/worker-INDEX.log, which its attempts append to.
  /// Empty: it is dropped.
  std::filesystem::path log_folder;

  // For functions that are deployed elsewhere.
  /// The events depend on each other (a bulk-synchronous job): all must run at the same time.
  bool all_at_once = false;
  /// Tells how events stand, for a platform that does not. Called by one thread, for all running
  /// events together, between one and four times a second (less often if the answer takes longer);
  /// returns the answers in the order of `events`. Succeeded or failed ends an event; `running` is
  /// a sign of life with the attempts so far; nullopt says nothing. An exception fails the events,
  /// unless it is worth a retry (unavailable, deadline_exceeded).
  using StatusQuery =
      std::function<std::vector<std::optional<EventStatus>>(std::span<const std::size_t> events)>;
  StatusQuery query_status = {};
};

/// The events of one call. Thread-safe. Destruction cancels those that still run.
class Invocations {
 public:
  virtual ~Invocations() = default;
  /// Waits until all have ended, one has failed for good, or `seconds` have passed. Returns whether
  /// all ended or one failed for good.
  virtual bool wait(double seconds) = 0;
  /// One per payload, in the same order.
  virtual std::vector<EventStatus> status() const = 0;
  /// Ends everything that runs, at once; returns when no process or socket is left.
  virtual void cancel() = 0;
};

/// Called once for each failed attempt, before status() reports it, from the invoker's thread,
/// while all events wait: for the progress display. Must not call cancel(). Exceptions are logged
/// and dropped.
using FailureObserver = std::function<void(std::size_t event, const EventStatus&, bool will_retry)>;

class Invoker {
 public:
  virtual ~Invoker() = default;
  /// Starts all events in parallel and returns at once. Each gets its own execution environment. A
  /// failed attempt (error, crash, time-out, out of memory) is repeated in a new environment, at
  /// most `retries` times.
  /// Throws not_found (no executable, no such function), resource_exhausted (no processes or
  /// descriptors left, a concurrency limit below what all_at_once needs), invalid_argument.
  virtual std::unique_ptr<Invocations> invoke_all(const Function& function,
                                                  std::vector<std::string> payloads,
                                                  FailureObserver observer = {}) = 0;
};

}  // namespace lambdaml::faas
