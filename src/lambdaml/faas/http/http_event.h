#pragma once

#include <optional>

#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/outcome.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/faas/sandbox/http_server.h"

/// Events as HTTP requests, in the forms that platforms and their event sources send.
namespace lambdaml::faas::http {

/// How a request carries its event, and so what its answer looks like.
enum class Form {
  plain,       ///< the body is the event; a CloudEvent may be around it
  activation,  ///< OpenWhisk's /run: JSON in both directions
};

/// The attribute of a CloudEvent that has its deadline, in milliseconds since 1970.
inline constexpr const char* kDeadlineAttribute = "deadlinems";

/// The event of a request:
/// - a CloudEvent 1.0 in binary mode (headers `ce-…`, the body is the data) or structured mode
///   (`application/cloudevents+json`); its id is the request id, its data the payload;
/// - OpenWhisk's `{"value": …, "activation_id": …, "deadline": …}`, if `form` says so;
/// - otherwise the body as it is, under a new request id.
/// Throws invalid_argument with one line for a request that is none of these.
Invocation invocation_of(const sandbox::HttpRequest& request, Form form);

/// The answer: 200 with the response; 422 with json_of() the failure if another attempt would end
/// in the same way, else 500, after which event sources send again. OpenWhisk's activations answer
/// with a JSON object, and fail with 502.
sandbox::HttpReply reply_of(Outcome outcome, Form form);

}  // namespace lambdaml::faas::http
