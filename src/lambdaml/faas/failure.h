#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

/// The description of a failed event, shared by both sides of the Runtime API.
namespace lambdaml::faas {

/// The largest response of an event, in bytes; the Runtime API answers 413 above it.
inline constexpr std::size_t kMaxResponseBytes = 6'291'556;

// Error types of the platform, as hosts of the Runtime API name them.
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
/// For use in a catch block; handles exceptions of any type.
Failure current_failure();

/// Whether another attempt of the same event may end differently. An error that the handler itself
/// reported as bad input, as diverged, or as lack of memory or room (the list in failure.cc) would
/// recur, and so would a response that is too large. A service that repeats events by itself may
/// use all attempts all the same.
bool is_worth_a_retry(std::string_view error_type);

/// The pause before an event's next attempt, after so many failed ones, in seconds: `first_s`,
/// doubled by each further failure, at most 1e9.
double retry_pause_s(double first_s, int failed_attempts);

/// A new request id, in the form of a random UUID.
std::string new_request_id();

}  // namespace lambdaml::faas
