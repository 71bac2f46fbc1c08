#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/sandbox/http_server.h"

namespace lambdaml::faas::sandbox {

/// An event as `next` gives it.
struct Event {
  std::string request_id;
  std::string payload;
  std::int64_t deadline_epoch_ms = 0;
  std::string function_arn;
  std::string trace_id;
};

/// What the function made of it.
struct Result {
  std::optional<Failure> failure;
  std::string response;  ///< without a failure
};

/// The host's side of the Lambda Runtime API, 2018-06-01, for one execution environment: the states
/// a runtime goes through, on requests, without sockets. A call that does not fit the state gets
/// 403, a wrong request id 400, and changes nothing else; a `next` while another waits is such a
/// call: whoever asked first gets the event. Not thread-safe: belongs to the loop's thread.
class RuntimeApi {
 public:
  /// `on_result` is called once per offered event that the runtime answers, or once with a failure
  /// when it reports that its start failed. It may call end().
  explicit RuntimeApi(std::function<void(Result)> on_result) : on_result_(std::move(on_result)) {}

  /// Answers a request, now or, for a `next` without an event, later.
  void serve(std::shared_ptr<Exchange> exchange);
  /// The answer to a request whose body is above kMaxResponseBytes.
  HttpReply refuse_large(const HttpRequest& head);

  /// Gives the event to the runtime as soon as it asks for one. At most one at a time.
  void offer(Event event);
  /// Whether the runtime has ever asked for an event: its start is over.
  bool has_started() const { return has_started_; }
  /// From now on every call is answered with 500, which makes a runtime end; nothing is called
  /// back.
  void end();
  /// Called when the runtime asks for an event and there is none: it may be frozen then.
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
  std::optional<Event> offered_;         ///< not given yet
  std::string request_id_;               ///< running: of the event
  std::shared_ptr<Exchange> long_poll_;  ///< waiting: the `next` to answer
};

}  // namespace lambdaml::faas::sandbox
