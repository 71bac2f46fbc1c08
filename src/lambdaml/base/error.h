#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace lambdaml {

/// What went wrong, as far as a caller can act on it. docs/reference/errors.md lists the exit code
/// of each.
enum class Code {
  invalid_argument,    ///< the request makes no sense; nothing was started
  not_found,           ///< a named thing the caller relied on is not there
  already_exists,      ///< a named thing that must be new is there
  data_corrupt,        ///< bytes that were read do not mean what they should
  permission_denied,   ///< credentials or file modes forbid it
  resource_exhausted,  ///< disk, memory, file descriptors or a quota ran out
  unavailable,         ///< a service did not answer; worth a retry
  deadline_exceeded,   ///< a deadline passed before a wait was over
  workers_lost,        ///< functions died and their attempts are used up
  diverged,            ///< values became infinite or NaN; retrying will not help
  limit_reached,       ///< a limit that the user set ended it
  cancelled,           ///< a stop was requested
  internal,            ///< a defect of this program
};

/// The code's name as events and logs show it, e.g. "invalid_argument".
std::string_view to_string(Code code);
/// The code of that name; `internal` for an unknown name.
Code code_from_string(std::string_view name);

/// Whether the caller's input is at fault: the same request would fail again. Such errors exit with
/// 2.
bool is_bad_input(Code code);

/// The only exception type of the project. `what()` is one line that says what was being done, to
/// what, why it failed and, where it helps, what to do about it. Messages are printed, logged and
/// stored, so the constructor escapes unprintable characters and masks passwords in URIs.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message);
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

/// Throws an Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws the Error that fits `errno_value`, e.g. resource_exhausted for ENOSPC; the message is
/// "DOING: strerror".
[[noreturn]] void fail_errno(int errno_value, std::string_view doing);

/// For use in a catch block: throws an Error "CONTEXT: what()" with the same code (`internal` for
/// any other exception type) and the current exception nested in it.
[[noreturn]] void rethrow_with(std::string_view context);

/// The code of any exception: an Error's own, `resource_exhausted` for std::bad_alloc, else
/// `internal`.
Code code_of(const std::exception& error);

/// The chain of nested causes below `error`, outermost first, separated by line ends. Empty if
/// nothing is nested.
std::string causes_of(const std::exception& error);

}  // namespace lambdaml
