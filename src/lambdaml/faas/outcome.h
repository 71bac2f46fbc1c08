#pragma once

#include <optional>
#include <string>

#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/runtime.h"

/// How a handler's work on one event ended, shared by everything that serves events.
namespace lambdaml::faas {

struct Outcome {
  std::string response;  ///< without a failure
  std::optional<Failure> failure = {};
};

/// Calls the handler, whose log lines carry the event's id meanwhile. A response above
/// kMaxResponseBytes is a failure. Throws nothing of the handler's.
Outcome outcome_of(const Handler& handler, const Invocation& invocation);

/// The failure of a response of that many bytes.
Failure too_large(std::size_t bytes);

/// A failure as JSON: errorType, errorMessage and stackTrace, as the Runtime API has it.
std::string json_of(const Failure& failure);
/// Reads what json_of() writes; nullopt for anything else.
std::optional<Failure> failure_from_json(std::string_view text);

}  // namespace lambdaml::faas
