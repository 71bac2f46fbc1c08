#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

/// How a failed event is described: what both sides of the Runtime API share.
namespace lambdaml::faas {

/// The most that may come back from an event, in bytes; Lambda answers 413 above it.
inline constexpr std::size_t kMaxResponseBytes = 6'291'556;

// Error types of the platform, named as AWS names them.
inline constexpr std::string_view kExitError = "Runtime.ExitError";
inline constexpr std::string_view kKilled = "Runtime.Killed";
inline constexpr std::string_view kOutOfMemory = "Runtime.OutOfMemory";
inline constexpr std::string_view kTimedOut = "Sandbox.Timedout";
inline constexpr std::string_view kResponseTooLarge = "Function.ResponseSizeTooLarge";

struct Failure {
  std::string type;     ///< a Code's name or one of the above
  std::string message;  ///< one line
  std::vector<std::string> causes = {};
};

Failure failure_of(const std::exception& error);
/// To be called in a catch block; takes exceptions of any type.
Failure current_failure();

/// Whether another try of the same event can end otherwise. An error that the handler itself
/// reported as bad input, as diverged or for want of memory or room (the list in failure.cc), or a
/// response that is too large, would only come again. A deviation from AWS, which spends all tries
/// on every error.
bool is_worth_a_retry(std::string_view error_type);

/// A fresh request id, in the form of a random UUID.
std::string new_request_id();

}  // namespace lambdaml::faas
