#include "lambdaml/control/endings.h"

#include "lambdaml/faas/failure.h"

namespace lambdaml::control {

bool is_worth_another_attempt(std::string_view error_type) {
  return faas::is_worth_a_retry(error_type) && error_type != to_string(Code::unavailable);
}

}  // namespace lambdaml::control
