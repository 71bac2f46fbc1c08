#include "lambdaml/faas/http/http_event.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas::http {
namespace {

using nlohmann::json;
using sandbox::HttpReply;
using sandbox::HttpRequest;

constexpr std::string_view kJson = "application/json";

[[noreturn]] void refuse(std::string_view what, std::string_view why) {
  fail(Code::invalid_argument, "{}: {}", what, why);
}

void require_version(std::string_view version) {
  if (version != "1.0")
    refuse("CloudEvent",
           fmt::format("its specversion is '{}', and 1.0 is understood", printable(version, 20)));
}

void set_deadline(Invocation& invocation, std::string_view milliseconds) {
  if (milliseconds.empty()) return;
  constexpr std::int64_t kYear10000_ms = 253402300800000;
  const auto at = to_integer(milliseconds);
  if (!at || *at < 0 || *at > kYear10000_ms)
    refuse("event", fmt::format("the deadline '{}' is no number of milliseconds since 1970",
                                printable(milliseconds, 40)));
  invocation.deadline = Deadline::at_epoch_ms(*at);
}

Invocation binary_event(const HttpRequest& request) {
  require_version(request.header("ce-specversion"));
  for (const char* name : {"ce-id", "ce-source", "ce-type"})
    if (request.header(name).empty())
      refuse("CloudEvent", fmt::format("it has no header {}", name));
  Invocation invocation;
  invocation.request_id = request.header("ce-id");
  invocation.trace_id = request.header("ce-traceparent");
  invocation.payload = request.body;
  set_deadline(invocation, request.header(std::string("ce-") + kDeadlineAttribute));
  return invocation;
}

/// A text or a number as text.
std::string attribute(const json& event, const char* name) {
  const auto found = event.find(name);
  if (found == event.end()) return {};
  return found->is_string() ? found->get<std::string>() : json_text(*found);
}

Invocation structured_event(const HttpRequest& request) {
  const json event = parse_json(request.body);
  if (!event.is_object()) refuse("CloudEvent", "its body is no JSON object");
  require_version(text_at(event, "specversion"));
  for (const char* name : {"id", "source", "type"})
    if (text_at(event, name).empty())
      refuse("CloudEvent", fmt::format("it has no attribute '{}'", name));
  Invocation invocation;
  invocation.request_id = text_at(event, "id");
  invocation.trace_id = text_at(event, "traceparent");
  if (const auto encoded = event.find("data_base64"); encoded != event.end()) {
    const auto bytes =
        encoded->is_string() ? decode_base64(encoded->get_ref<const std::string&>()) : std::nullopt;
    if (!bytes) refuse("CloudEvent", "its data_base64 is no base64");
    invocation.payload = std::string(bytes->text());
  } else if (const auto data = event.find("data"); data != event.end()) {
    const bool is_text = data->is_string() &&
                         text_at(event, "datacontenttype", kJson).find("json") == std::string::npos;
    invocation.payload = is_text ? data->get<std::string>() : json_text(*data);
  }
  set_deadline(invocation, attribute(event, kDeadlineAttribute));
  return invocation;
}

Invocation activation(const HttpRequest& request) {
  const json body = parse_json(request.body);
  if (!body.is_object() || !body.contains("value"))
    refuse("/run", "the body is no JSON object with a 'value'");
  Invocation invocation;
  invocation.request_id = text_at(body, "activation_id");
  invocation.payload = json_text(body["value"]);
  set_deadline(invocation, attribute(body, "deadline"));
  return invocation;
}

HttpReply json_reply(int status, std::string body) {
  return {status, std::move(body), {{"Content-Type", std::string(kJson)}}};
}

HttpReply activation_reply(const Outcome& outcome) {
  if (outcome.failure)
    return json_reply(502, json_text(json{{"error", parse_json(json_of(*outcome.failure))}}));
  const json response = parse_json(outcome.response);
  if (response.is_object()) return json_reply(200, outcome.response);
  return json_reply(200, json_text(json{{"response", outcome.response}}));
}

}  // namespace

Invocation invocation_of(const HttpRequest& request, Form form) {
  const std::string_view type = request.header("Content-Type");
  Invocation invocation;
  if (form == Form::activation)
    invocation = activation(request);
  else if (type.starts_with("application/cloudevents-batch"))
    refuse("CloudEvents", "a batch is not understood: send one event for each request");
  else if (type.starts_with("application/cloudevents"))
    invocation = structured_event(request);
  else if (!request.header("ce-specversion").empty() || !request.header("ce-id").empty())
    invocation = binary_event(request);
  else
    invocation.payload = request.body;
  if (invocation.request_id.empty()) invocation.request_id = new_request_id();
  invocation.sender_waits = true;
  return invocation;
}

HttpReply reply_of(Outcome outcome, Form form) {
  if (form == Form::activation) return activation_reply(outcome);
  if (outcome.failure)
    return json_reply(is_worth_a_retry(outcome.failure->type) ? 500 : 422,
                      json_of(*outcome.failure));
  return json_reply(200, std::move(outcome.response));
}

}  // namespace lambdaml::faas::http
