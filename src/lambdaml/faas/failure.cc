#include "lambdaml/faas/failure.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"

namespace lambdaml::faas {

Failure failure_of(const std::exception& error) {
  Failure failure{std::string(to_string(code_of(error))),
                  Error(code_of(error), error.what()).what()};
  if (const std::string causes = causes_of(error); !causes.empty())
    failure.causes = split(causes, '\n');
  return failure;
}

Failure current_failure() {
  try {
    throw;
  } catch (const std::exception& error) {
    return failure_of(error);
  } catch (...) {
    return {std::string(to_string(Code::internal)), "an exception that is no std::exception"};
  }
}

bool is_worth_a_retry(std::string_view error_type) {
  if (error_type == kResponseTooLarge) return false;
  const Code code = code_from_string(error_type);
  return !is_bad_input(code) && code != Code::diverged && code != Code::resource_exhausted;
}

double retry_pause_s(double first_s, int failed_attempts) {
  return std::min(first_s * std::exp2(failed_attempts - 1), 1e9);
}

std::string new_request_id() { return unique_uuid(); }

}  // namespace lambdaml::faas
