#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::control {

/// Another attempt has taken the task over: this one leaves everything as it is, and ends.
class Superseded : public Error {
 public:
  explicit Superseded(const std::string& message) : Error(Code::cancelled, message) {}
};

/// The job has ended, and its channel was cleared.
class JobIsOver : public Error {
 public:
  explicit JobIsOver(const std::string& message) : Error(Code::cancelled, message) {}
};

/// The channel has lost what a worker begins with, while the job goes on.
class JobIsLost : public Error {
 public:
  explicit JobIsLost(const std::string& message) : Error(Code::unavailable, message) {}
};

/// The job was stopped before its end.
class Stopped : public Error {
 public:
  explicit Stopped(const std::string& message) : Error(Code::cancelled, message) {}
};

/// The state that a worker was to go on from is not what its commit record tells of.
class DamagedCheckpoint : public Error {
 public:
  explicit DamagedCheckpoint(const std::string& message) : Error(Code::data_corrupt, message) {}
};

/// Whether another attempt of a worker that failed with this error type can help. `unavailable` is
/// not worth one: the service was waited for as long as any is, so the job ends.
bool is_worth_another_try(std::string_view error_type);

}  // namespace lambdaml::control
