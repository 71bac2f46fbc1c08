#pragma once

#include <string_view>

namespace lambdaml {

/// Whether error lines may repeat the text of what an endpoint answered that an input named
/// (`?endpoint=` of a URI). A command's user named it, and the text helps them: true, as at a
/// program's start. The sender of a function's event may not reach what the function reaches, but
/// hears its errors: a function sets it to false, and tells status and error code alone. Any thread
/// may call.
bool repeats_answers();
void set_repeats_answers(bool repeats);

/// Whether `text` is a code as services have them ("NoSuchKey", "eu-west-1"), and no text besides.
bool is_error_code(std::string_view text);

}  // namespace lambdaml
