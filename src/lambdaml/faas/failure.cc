#include "lambdaml/faas/failure.h"

#include <random>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

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

std::string new_request_id() {
  std::random_device device;
  const auto word = [&] { return static_cast<std::uint32_t>(device()); };
  const std::uint32_t a = word(), b = word(), c = word(), d = word();
  // Version 4, variant 1 of RFC 4122.
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:04x}{:08x}", a, b >> 16, b & 0xfff,
                     0x8000 | ((c >> 16) & 0x3fff), c & 0xffff, d);
}

}  // namespace lambdaml::faas
