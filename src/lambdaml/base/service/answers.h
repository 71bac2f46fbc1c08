#pragma once

#include <string_view>

namespace lambdaml {

/// Whether error messages may repeat the response text of an endpoint that the input named
/// (`?endpoint=` of a URI). True at program start: a command's user named the endpoint, and the
/// text helps. A function sets it to false and reports only status and error code, because the
/// sender of its event sees its errors but may have no access to what the function can reach.
/// Thread-safe.
bool repeats_answers();
void set_repeats_answers(bool repeats);

/// Whether `text` is only an error code or a name as services use them ("NoSuchKey", "eu-west-1").
bool is_error_code(std::string_view text);

}  // namespace lambdaml
