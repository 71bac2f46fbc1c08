#pragma once

#include <stdexcept>
#include <string>

namespace lambdaml::faas::sandbox {

/// A refusal of the service API, in AWS's terms.
struct ServiceError : std::runtime_error {
  ServiceError(int status, std::string type, const std::string& message, std::string reason = {})
      : std::runtime_error(message),
        status(status),
        type(std::move(type)),
        reason(std::move(reason)) {}
  int status;
  std::string type;    ///< X-Amzn-ErrorType
  std::string reason;  ///< of TooManyRequestsException
};

inline ServiceError invalid_parameter(const std::string& message) {
  return {400, "InvalidParameterValueException", message};
}
inline ServiceError conflict(const std::string& message) {
  return {409, "ResourceConflictException", message};
}
inline ServiceError no_such_function(const std::string& arn) {
  return {404, "ResourceNotFoundException", "Function not found: " + arn};
}

}  // namespace lambdaml::faas::sandbox
