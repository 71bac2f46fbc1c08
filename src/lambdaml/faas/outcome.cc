#include "lambdaml/faas/outcome.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas {
namespace {

/// The fields of each line of an event's log, with the names that log services know.
std::string log_fields(const Invocation& invocation) {
  const auto quoted = [](const std::string& text) {
    return json_text(nlohmann::json(printable(text, 200)));
  };
  std::string fields = "\"requestId\":" + quoted(invocation.request_id);
  if (!invocation.trace_id.empty()) fields += ",\"xrayTraceId\":" + quoted(invocation.trace_id);
  return fields;
}

}  // namespace

Outcome outcome_of(const Handler& handler, const Invocation& invocation) {
  log::set_fields(log_fields(invocation));
  Outcome outcome;
  try {
    outcome.response = handler(invocation);
    if (outcome.response.size() > kMaxResponseBytes)
      outcome.failure = too_large(outcome.response.size());
  } catch (...) {
    outcome.failure = current_failure();
  }
  return outcome;
}

Failure too_large(std::size_t bytes) {
  return {std::string(kResponseTooLarge),
          fmt::format("the response has {} bytes; {} is the limit, so save large results to "
                      "storage and return their key",
                      human_count(bytes), human_count(kMaxResponseBytes)),
          {}};
}

std::string json_of(const Failure& failure) {
  const nlohmann::json body = {{"errorMessage", failure.message},
                               {"errorType", failure.type},
                               {"stackTrace", failure.causes}};
  // A message may quote bytes that are not UTF-8.
  return json_text(body);
}

std::optional<Failure> failure_from_json(std::string_view text) {
  const nlohmann::json body = parse_json(text);
  if (!body.is_object()) return {};
  Failure failure{.type = text_at(body, "errorType"), .message = text_at(body, "errorMessage")};
  if (failure.type.empty()) return {};
  failure.message = printable(failure.message, 2000);
  return failure;
}

}  // namespace lambdaml::faas
