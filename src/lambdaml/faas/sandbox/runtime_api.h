#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/sandbox/http_server.h"

namespace lambdaml::faas::sandbox {

/// An event as returned by `next`.
struct Event {
  std::string request_id;
  std::string payload;
  std::int64_t deadline_epoch_ms = 0;
  std::string function_arn;
  std::string trace_id;
};

/// The function's answer to an event.
struct Result {
  std::optional<Failure> failure;
  std::string response;  ///< without a failure
};

/// The host's side of the Lambda Runtime API, 2018-06-01, for one execution environment: the states
/// of a runtime as a function of requests, without sockets. A call that is not allowed in the
/// current state gets 403, a wrong request id 400, and neither changes anything. A second `next`
/// while one is waiting is such a call: the first one gets the event. Used by the loop's thread
/// only.
class RuntimeApi {
 public:
  /// `on_result` is called once for each offered event that the runtime answers, or once with a
  /// failure if the runtime reports that it could not start. It may call end().
  explicit RuntimeApi(std::function<void(Result)> on_result) : on_result_(std::move(on_result)) {}

  /// Answers a request: at once, or later for a `next` without an event.
  void serve(std::shared_ptr<Exchange> exchange);
  /// The answer to a request whose body is above kMaxResponseBytes.
  HttpReply refuse_large(const HttpRequest& head);

  /// Hands the event to the runtime as soon as that asks for one. At most one at a time.
  void offer(Event event);
  /// Whether the runtime has ever asked for an event, which means that it has started.
  bool has_started() const { return has_started_; }
  /// From now on every call is answered with 500, which makes a runtime end, and no callback is
  /// called.
  void end();
  /// `call` is called when the runtime asks for an event and there is none: it may be frozen then.
  void on_waiting(std::function<void()> call) { on_waiting_ = std::move(call); }

 private:
  enum class State { starting, waiting, running, ending };

  void next(std::shared_ptr<Exchange> exchange);
  void finish(Exchange& exchange, std::string_view request_id, Result result);
  void init_error(Exchange& exchange);
  void give();

  std::function<void(Result)> on_result_;
  std::function<void()> on_waiting_;
  State state_ = State::starting;
  bool has_started_ = false;
  std::optional<Event> offered_;         ///< not yet handed to the runtime
  std::string request_id_;               ///< running: of the event
  std::shared_ptr<Exchange> long_poll_;  ///< waiting: the `next` to answer
};

}  // namespace lambdaml::faas::sandbox
