#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::control {

/// Another attempt has taken over the task: this one changes nothing any more and ends.
class Superseded : public Error {
 public:
  explicit Superseded(const std::string& message) : Error(Code::cancelled, message) {}
};

/// The job has ended, and its channel was cleared.
class JobIsOver : public Error {
 public:
  explicit JobIsOver(const std::string& message) : Error(Code::cancelled, message) {}
};

/// The channel has lost what a new worker needs, while the job continues.
class JobIsLost : public Error {
 public:
  explicit JobIsLost(const std::string& message) : Error(Code::unavailable, message) {}
};

/// The job was stopped before it finished.
class Stopped : public Error {
 public:
  explicit Stopped(const std::string& message) : Error(Code::cancelled, message) {}
};

/// The state that a worker should continue from differs from its commit record.
class DamagedCheckpoint : public Error {
 public:
  explicit DamagedCheckpoint(const std::string& message) : Error(Code::data_corrupt, message) {}
};

/// Whether another attempt of a worker that failed with this error type can help. Not so for
/// `unavailable`: the patience with the service is exhausted, so the job ends.
bool is_worth_another_attempt(std::string_view error_type);

}  // namespace lambdaml::control
