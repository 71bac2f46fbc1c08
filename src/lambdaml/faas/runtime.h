#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lambdaml/base/deadline.h"

/// The function's side of the AWS Lambda Runtime API, 2018-06-01: the only protocol by which a
/// worker receives work, on AWS and on this machine. It transports opaque bytes and knows nothing
/// about training.
namespace lambdaml::faas {

/// One event, as received from GET /runtime/invocation/next.
struct Invocation {
  std::string request_id;
  std::string payload;
  Deadline deadline = Deadline::never();
  std::string function_arn;
  std::string trace_id;
  /// Set when the caller wants the handler to stop; null if functions are ended from outside.
  std::shared_ptr<const std::atomic<bool>> cancelled = {};
  /// The sender waits for the response, and sends the event again if that says that the work
  /// continues. False: the function must invoke itself.
  bool sender_waits = false;
};

/// Returns the response. An exception is posted to …/error with the code's name as errorType,
/// what() as errorMessage and the chain of causes as stackTrace.
using Handler = std::function<std::string(const Invocation&)>;

/// Serves events one after another from the Runtime API at `endpoint` (`host:port` with an optional
/// path, the value of AWS_LAMBDA_RUNTIME_API). Returns when the host disappears or answers 500.
/// `next` has no time-out because the sandbox may be frozen in it. A request on a connection that
/// died meanwhile is sent once more on a new one. A response above 6,291,556 bytes, or refused with
/// 413, is reported as an error of the event. Throws unavailable after three failed `next` calls in
/// a row.
void serve(const std::string& endpoint, const Handler& handler);

/// The memory in MB that this process's function is configured with, as its host tells by
/// AWS_LAMBDA_FUNCTION_MEMORY_SIZE; nullopt if it does not.
std::optional<int> own_memory_mb();
/// Of this program, as Lambda names it: "x86_64" or "arm64".
std::string own_architecture();

/// Reports a failure before the first event: POST /runtime/init/error.
void report_init_error(const std::string& endpoint, const std::exception& error) noexcept;

}  // namespace lambdaml::faas
