#pragma once

#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::aws {

/// The error that a call throws; if it throws none, an `internal` one that says so.
template <class Call>
Error thrown_by(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::internal, "nothing was thrown");
}

}  // namespace lambdaml::aws
