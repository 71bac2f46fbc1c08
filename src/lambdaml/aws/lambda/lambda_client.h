#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/aws/lambda/lambda_function.h"
#include "lambdaml/aws/message.h"
#include "lambdaml/base/deadline.h"

/// The AWS Lambda service API, or what speaks it: AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL and the
/// other places of aws/environment.h say where it is.
namespace lambdaml::aws {

/// The most that an event may have, in bytes.
inline constexpr std::size_t kMaxEventBytes = 1'048'576;        ///< asynchronous
inline constexpr std::size_t kMaxSynchronousBytes = 6'291'456;  ///< synchronous
/// The most that a zip may have that travels within a request.
inline constexpr std::size_t kMaxDirectZipBytes = 50 * 1024 * 1024;
/// How long an operation goes on trying, by default.
inline constexpr double kOperation_s = 120;

struct LambdaOptions {
  std::string region = {};
  std::string endpoint = {};
  double first_pause_s = 0.25;  ///< after a throttling or a conflict; doubles up to 5 s, jittered
};

struct InvokeRequest {
  enum class Mode { wait, event, dry_run };
  Mode mode = Mode::wait;
  std::string payload = "{}";  ///< JSON
  bool log_tail = false;       ///< the last 4 KB of its log; only with `wait`
  double timeout_s = 900;      ///< of the function
};

struct InvokeResult {
  int status = 0;
  std::string payload;     ///< what it returned
  bool failed = false;     ///< the function failed, whatever the status
  std::string error_type;  ///< of the function
  std::string error_message;
  std::string log_tail;
  std::string request_id;
};

/// Calls and changes functions. Thread-safe; constructing one sends nothing. `name` is everywhere
/// a name or an ARN. Each operation is one request unless it says otherwise; what is throttled
/// (429) is sent again after a jittered pause, not before the time that the service asks for, until
/// the deadline; so is what conflicts with an update under way (409).
/// Throws, in one line that names endpoint, operation and function: not_found (no such function),
/// already_exists, resource_exhausted (throttled to the deadline), permission_denied (no or expired
/// credentials, not allowed), invalid_argument (too large, or a value that Lambda refuses),
/// unavailable, deadline_exceeded, data_corrupt (no Lambda there).
class LambdaClient {
 public:
  /// Throws invalid_argument (no region, a bad endpoint).
  explicit LambdaClient(LambdaOptions options = {});
  LambdaClient(const LambdaClient&) = delete;
  LambdaClient& operator=(const LambdaClient&) = delete;
  ~LambdaClient();

  /// Without credentials, for messages.
  const std::string& endpoint() const;
  /// Whether the endpoint is another than AWS's own.
  bool is_custom() const;
  /// One request, sent again until the deadline: whether the service answers, whatever it says.
  /// Where it does not, `why` says so.
  bool answers(Deadline deadline, std::string& why);

  /// Calls a function. With Mode::wait it waits for the function's end, longer than its time-out,
  /// on a connection of its own, and never sends again what may have been taken: a cut connection
  /// is `unavailable`. The deadline is for throttling and conflicts.
  InvokeResult invoke(const std::string& name, const InvokeRequest& request,
                      Deadline deadline = Deadline::in(kOperation_s));
  /// Hands over many asynchronous events in parallel; returns their request ids in order. A request
  /// whose answer was lost is sent again: an event may come twice, as it may on AWS anyway. A
  /// payload above 1 MB is invalid_argument before anything is sent. After a failure some events
  /// may have been taken.
  std::vector<std::string> invoke_all_events(const std::string& name,
                                             std::span<const std::string> payloads,
                                             Deadline deadline = Deadline::in(kOperation_s));

  /// Absent when there is no such function.
  std::optional<FunctionDescription> find_function(const std::string& name);
  FunctionDescription get_function(const std::string& name);
  FunctionDescription create_function(const std::string& name, const FunctionSettings& settings,
                                      const FunctionCode& code,
                                      const std::map<std::string, std::string>& tags);
  FunctionDescription update_code(const std::string& name, const FunctionCode& code);
  FunctionDescription update_settings(const std::string& name, const FunctionSettings& settings);
  void delete_function(const std::string& name);
  /// One request per 50 functions. Without tags and concurrency.
  std::vector<FunctionDescription> list_functions();

  /// Reserved for the function; absent when nothing is.
  std::optional<int> get_concurrency(const std::string& name);
  void put_concurrency(const std::string& name, int reserved);
  void delete_concurrency(const std::string& name);
  /// Empty when nothing was set.
  EventInvokeConfig get_event_config(const std::string& name);
  void put_event_config(const std::string& name, const EventInvokeConfig& config);
  AccountSettings account_settings();
  void tag(const std::string& arn, const std::map<std::string, std::string>& tags);

  /// Waits until a function can be called and its last update is through; a request every 0.1 to
  /// 2 s. Throws deadline_exceeded, or unavailable when it has failed, with the service's reason.
  FunctionDescription wait_until_active(const std::string& name, Deadline deadline);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::aws
