#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas::http {

/// Where events are sent.
struct Target {
  std::vector<std::string> urls;  ///< event i goes to the one with the number i modulo their number
  std::string token;              ///< for `Authorization: Bearer`; empty: none
};

/// Throws invalid_argument for a text that is no list of http:// and https:// URLs.
std::vector<std::string> urls_of(const std::string& list);
/// For messages: a query may have a function's key.
std::string without_query(const std::string& url);

/// Sends each event as a CloudEvent in binary mode; the connection waits for its end. Sent again,
/// within the event's attempts: after an error that may pass, and when the connection or the
/// instance was lost. Sent again without counting as an attempt: while no instance takes it (429,
/// 503, no connection).
std::unique_ptr<Invocations> invoke_by_http(const Function& function, Target target,
                                            std::vector<std::string> payloads,
                                            FailureObserver observer);

}  // namespace lambdaml::faas::http
