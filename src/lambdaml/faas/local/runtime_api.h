#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/local/http_server.h"

namespace lambdaml::faas::local {

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

/// The host's side of the Lambda Runtime API, 2018-06-01, for one execution environment: an
/// endpoint of its own and the states a runtime goes through. A call that does not fit the state
/// gets 403, a wrong request id 400, a body above kMaxResponseBytes 413, and changes nothing else.
/// Not thread-safe: belongs to the loop's thread.
class RuntimeApi {
 public:
  /// `on_result` is called once per offered event that the runtime answers, or once with a failure
  /// when it reports that its start failed. It may call end().
  RuntimeApi(boost::asio::io_context& loop, std::function<void(Result)> on_result);

  /// The value of AWS_LAMBDA_RUNTIME_API.
  std::string endpoint() const;
  /// Gives the event to the runtime as soon as it asks for one. At most one at a time.
  void offer(Event event);
  /// Whether the runtime has ever asked for an event: its start is over.
  bool has_started() const { return has_started_; }
  /// From now on every call is answered with 500, which makes a runtime end; nothing is called
  /// back. The endpoint stays, because a port that is free may come to another environment, whose
  /// event the ending runtime would then take.
  void end();
  /// Called when the runtime asks for an event and there is none: it may be frozen then.
  void on_waiting(std::function<void()> call) { on_waiting_ = std::move(call); }
  /// For when the process is gone.
  void close() { server_.close(); }

 private:
  enum class State { starting, waiting, running, ending };

  void serve(std::shared_ptr<Exchange> exchange);
  void next(std::shared_ptr<Exchange> exchange);
  void finish(Exchange& exchange, std::string_view request_id, Result result);
  void init_error(Exchange& exchange);
  HttpReply refuse_large(const HttpRequest& head);
  void give();

  std::function<void(Result)> on_result_;
  std::function<void()> on_waiting_;
  State state_ = State::starting;
  bool has_started_ = false;
  std::optional<Event> offered_;         ///< not given yet
  std::string request_id_;               ///< running: of the event
  std::shared_ptr<Exchange> long_poll_;  ///< waiting: the `next` to answer
  HttpServer server_;
};

}  // namespace lambdaml::faas::local
