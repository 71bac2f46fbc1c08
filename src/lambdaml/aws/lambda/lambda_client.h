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

/// A client of the AWS Lambda service API or a compatible service, found through
/// AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL and the other settings in aws/environment.h.
namespace lambdaml::aws {

/// The largest event, in bytes.
inline constexpr std::size_t kMaxEventBytes = 1'048'576;        ///< asynchronous
inline constexpr std::size_t kMaxSynchronousBytes = 6'291'456;  ///< synchronous
/// The largest zip that can be sent within a request.
inline constexpr std::size_t kMaxDirectZipBytes = 50 * 1024 * 1024;
/// How long an operation is retried by default.
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

/// Calls and changes functions. Thread-safe; construction sends nothing. `name` is always a name or
/// an ARN. Each operation is one request unless stated otherwise. Throttled requests (429) are sent
/// again after a jittered pause, not before the time that the service asks for, until the deadline;
/// so are requests that conflict with an update in progress (409).
/// Throws, in one line that names endpoint, operation and function: not_found (no such function),
/// already_exists, resource_exhausted (throttled to the deadline), permission_denied (no or expired
/// credentials, not allowed), invalid_argument (too large, or a value that Lambda rejects),
/// unavailable, deadline_exceeded, data_corrupt (not Lambda).
class LambdaClient {
 public:
  /// Throws invalid_argument (no region, a bad endpoint).
  explicit LambdaClient(LambdaOptions options = {});
  LambdaClient(const LambdaClient&) = delete;
  LambdaClient& operator=(const LambdaClient&) = delete;
  ~LambdaClient();

  /// Without credentials, for messages.
  const std::string& endpoint() const;
  /// Whether the endpoint is not AWS's own.
  bool is_custom() const;
  /// Whether the service answers at all, whatever it says: one request, repeated until the
  /// deadline. If it does not answer, `why` says why.
  bool answers(Deadline deadline, std::string& why);

  /// Calls a function. With Mode::wait, waits for the function's end, longer than its time-out, on
  /// a dedicated connection, and never resends a request that may have been accepted: a lost
  /// connection is `unavailable`. The deadline covers only throttling and conflicts.
  InvokeResult invoke(const std::string& name, const InvokeRequest& request,
                      Deadline deadline = Deadline::in(kOperation_s));
  /// Sends many asynchronous events in parallel; returns their request ids in order. A request
  /// whose answer was lost is sent again, so an event may be delivered twice, as on AWS itself.
  /// Throws invalid_argument for a payload above 1 MB before anything is sent. After an error some
  /// events may have been accepted.
  std::vector<std::string> invoke_all_events(const std::string& name,
                                             std::span<const std::string> payloads,
                                             Deadline deadline = Deadline::in(kOperation_s));

  /// nullopt if there is no such function.
  std::optional<FunctionDescription> find_function(const std::string& name);
  FunctionDescription get_function(const std::string& name);
  /// Without what only get_function() has; needs another permission.
  FunctionDescription get_configuration(const std::string& name);
  FunctionDescription create_function(const std::string& name, const FunctionSettings& settings,
                                      const FunctionCode& code,
                                      const std::map<std::string, std::string>& tags);
  FunctionDescription update_code(const std::string& name, const FunctionCode& code);
  FunctionDescription update_settings(const std::string& name, const FunctionSettings& settings);
  void delete_function(const std::string& name);
  /// One request per 50 functions. Without tags and concurrency.
  std::vector<FunctionDescription> list_functions();

  /// Concurrency reserved for the function; nullopt if none is.
  std::optional<int> get_concurrency(const std::string& name);
  void put_concurrency(const std::string& name, int reserved);
  void delete_concurrency(const std::string& name);
  /// Empty if nothing was set.
  EventInvokeConfig get_event_config(const std::string& name);
  void put_event_config(const std::string& name, const EventInvokeConfig& config);
  AccountSettings account_settings();
  /// Lets a service call the function for one of its resources, such as a rule of EventBridge;
  /// `statement` names the permission, and one of that name stays as it is.
  void allow(const std::string& name, const std::string& statement, const std::string& service,
             const std::string& source_arn);
  void tag(const std::string& arn, const std::map<std::string, std::string>& tags);

  /// Waits until a function can be called and its last update is complete; one request every 0.1 to
  /// 2 s. Throws deadline_exceeded, or unavailable with the service's reason if the function or
  /// update has failed.
  FunctionDescription wait_until_active(const std::string& name, Deadline deadline);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::aws
