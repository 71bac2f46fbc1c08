#include "lambdaml/faas/sandbox/runtime_api.h"

#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::sandbox {
namespace {

using nlohmann::json;

constexpr std::string_view kPrefix = "/2018-06-01/runtime/";
constexpr std::size_t kMessageBytes = 2000;

HttpReply json_reply(int status, const json& body) {
  return {status, json_text(body), {{"Content-Type", "application/json"}}};
}

HttpReply error_reply(int status, std::string_view type, std::string_view message) {
  return json_reply(status, {{"errorMessage", message}, {"errorType", type}});
}

HttpReply ending() { return error_reply(500, "Container.Ending", "the environment is ending"); }
HttpReply accepted() { return json_reply(202, {{"status", "OK"}}); }

constexpr std::string_view kErrorType = "Lambda-Runtime-Function-Error-Type";

/// Untrusted input: missing fields are filled in. `told` is the runtime's description of the error.
Failure failure_in(const HttpRequest& request, std::string_view told) {
  const json body = parse_json(told);
  Failure failure;
  failure.type = std::string(request.header(kErrorType));
  if (body.is_object()) {
    if (const std::string type = text_at(body, "errorType"); !type.empty()) failure.type = type;
    failure.message = printable(text_at(body, "errorMessage"), kMessageBytes);
    if (const auto causes = body.find("stackTrace"); causes != body.end() && causes->is_array())
      for (const json& cause : *causes)
        if (cause.is_string())
          failure.causes.push_back(printable(cause.get<std::string>(), kMessageBytes));
  } else {
    failure.message = printable(told, kMessageBytes);
  }
  failure.type = failure.type.empty() ? "Runtime.Unknown" : printable(failure.type);
  if (failure.message.empty()) failure.message = "the function reported an error without a message";
  return failure;
}

/// The body of a streamed response: if the handler fails midway, the trailer contains the error in
/// base64.
Result result_in(const HttpRequest& request) {
  if (request.header(kErrorType).empty()) return {std::nullopt, request.body};
  const auto body = decode_base64(request.header("Lambda-Runtime-Function-Error-Body"));
  return {failure_in(request, body ? body->text() : std::string_view()), {}};
}

/// "invocation/ID/response" → ID for that ending; nullopt for any other path.
std::optional<std::string_view> id_in(std::string_view path, std::string_view ending) {
  constexpr std::string_view start = "invocation/";
  if (!path.starts_with(start) || !path.ends_with(ending) ||
      path.size() < start.size() + ending.size())
    return std::nullopt;
  return path.substr(start.size(), path.size() - start.size() - ending.size());
}

std::string_view path_in(const HttpRequest& request) {
  std::string_view path = request.target;
  if (!path.starts_with(kPrefix)) return {};
  return path.substr(kPrefix.size());
}

}  // namespace

void RuntimeApi::offer(Event event) {
  offered_ = std::move(event);
  give();
}

void RuntimeApi::give() {
  if (!offered_ || !long_poll_) return;
  const auto exchange = std::exchange(long_poll_, nullptr);
  if (!exchange->is_open()) return;
  Event event = *std::exchange(offered_, std::nullopt);
  request_id_ = event.request_id;
  state_ = State::running;
  exchange->reply({200,
                   std::move(event.payload),
                   {{"Content-Type", "application/json"},
                    {"Lambda-Runtime-Aws-Request-Id", request_id_},
                    {"Lambda-Runtime-Deadline-Ms", std::to_string(event.deadline_epoch_ms)},
                    {"Lambda-Runtime-Invoked-Function-Arn", event.function_arn},
                    {"Lambda-Runtime-Trace-Id", event.trace_id}}});
}

void RuntimeApi::end() {
  state_ = State::ending;
  offered_.reset();
  if (const auto exchange = std::exchange(long_poll_, nullptr)) exchange->reply(ending());
}

void RuntimeApi::serve(std::shared_ptr<Exchange> exchange) {
  if (state_ == State::ending) return exchange->reply(ending());
  const HttpRequest& request = exchange->request;
  const std::string_view path = path_in(request);
  const auto response_id = id_in(path, "/response");
  const auto error_id = id_in(path, "/error");
  const bool is_next = path == "invocation/next";
  const bool is_init_error = path == "init/error";
  if (!is_next && !is_init_error && !response_id && !error_id)
    return exchange->reply(error_reply(404, "InvalidPath", "no such path in the Runtime API"));
  if (request.method != (is_next ? "GET" : "POST"))
    return exchange->reply(error_reply(405, "InvalidMethod", "not a method of this path"));
  if (is_next) return next(std::move(exchange));
  if (is_init_error) return init_error(*exchange);
  if (response_id) return finish(*exchange, *response_id, result_in(request));
  finish(*exchange, *error_id, {failure_in(request, request.body), {}});
}

void RuntimeApi::next(std::shared_ptr<Exchange> exchange) {
  if (state_ == State::running)
    return exchange->reply(error_reply(403, "InvalidStateTransition",
                                       "the event before has no response or error yet"));
  // A runtime that lost its connection asks again; the kernel knows that the first one was closed.
  if (long_poll_ && long_poll_->is_open())
    return exchange->reply(
        error_reply(403, "InvalidStateTransition", "another call waits for the next event"));
  state_ = State::waiting;
  has_started_ = true;
  long_poll_ = std::move(exchange);
  give();
  if (long_poll_ && on_waiting_) on_waiting_();
}

void RuntimeApi::finish(Exchange& exchange, std::string_view request_id, Result result) {
  if (state_ != State::running)
    return exchange.reply(error_reply(403, "InvalidStateTransition", "no event is being run"));
  if (request_id != request_id_)
    return exchange.reply(
        error_reply(400, "InvalidRequestID", "not the id of the event being run"));
  state_ = State::waiting;
  exchange.reply(accepted());
  on_result_(std::move(result));
}

void RuntimeApi::init_error(Exchange& exchange) {
  if (state_ != State::starting)
    return exchange.reply(error_reply(403, "InvalidStateTransition", "the start is over"));
  Failure failure = failure_in(exchange.request, exchange.request.body);
  state_ = State::waiting;
  exchange.reply(accepted());
  on_result_({std::move(failure), {}});
}

HttpReply RuntimeApi::refuse_large(const HttpRequest& head) {
  const auto id = id_in(path_in(head), "/response");
  const bool ends_event = id && state_ == State::running && *id == request_id_;
  // As on AWS, the event has now failed, whatever the runtime posts next.
  if (ends_event) {
    state_ = State::waiting;
    on_result_({Failure{std::string(kResponseTooLarge),
                        fmt::format("the response is larger than {} bytes; save large results to "
                                    "storage and return their key",
                                    human_count(kMaxResponseBytes))},
                {}});
  }
  return error_reply(413, "RequestEntityTooLarge",
                     fmt::format("the body is larger than {} bytes", kMaxResponseBytes));
}

}  // namespace lambdaml::faas::sandbox
