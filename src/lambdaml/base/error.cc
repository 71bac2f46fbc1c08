#include "lambdaml/base/error.h"

#include <array>
#include <cerrno>
#include <new>
#include <system_error>

#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

struct Name {
  Code code;
  std::string_view text;
};

constexpr std::array kNames{
    Name{Code::invalid_argument, "invalid_argument"},
    Name{Code::not_found, "not_found"},
    Name{Code::already_exists, "already_exists"},
    Name{Code::data_corrupt, "data_corrupt"},
    Name{Code::permission_denied, "permission_denied"},
    Name{Code::resource_exhausted, "resource_exhausted"},
    Name{Code::unavailable, "unavailable"},
    Name{Code::deadline_exceeded, "deadline_exceeded"},
    Name{Code::workers_lost, "workers_lost"},
    Name{Code::diverged, "diverged"},
    Name{Code::limit_reached, "limit_reached"},
    Name{Code::cancelled, "cancelled"},
    Name{Code::internal, "internal"},
};

std::string one_line(std::string_view message) {
  return printable(redacted(message), std::string::npos);
}

Code code_of_errno(int value) {
  switch (value) {
    case ENOENT:
    case ENOTDIR:
      return Code::not_found;
    case EEXIST:
    case ENOTEMPTY:
      return Code::already_exists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::permission_denied;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EFBIG:
      return Code::resource_exhausted;
    case EINTR:
      return Code::cancelled;
    case EISDIR:
    case EINVAL:
    case ENAMETOOLONG:
      return Code::invalid_argument;
    default:
      return Code::internal;
  }
}

void append_causes(const std::exception& error, std::string& out) {
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& cause) {
    if (!out.empty()) out += '\n';
    out += one_line(cause.what());
    append_causes(cause, out);
  }
}

}  // namespace

Error::Error(Code code, const std::string& message)
    : std::runtime_error(one_line(message)), code_(code) {}

std::string_view to_string(Code code) {
  for (const Name& name : kNames)
    if (name.code == code) return name.text;
  return "internal";
}

bool is_bad_input(Code code) {
  switch (code) {
    case Code::invalid_argument:
    case Code::not_found:
    case Code::already_exists:
    case Code::data_corrupt:
    case Code::permission_denied:
      return true;
    default:
      return false;
  }
}

Code code_from_string(std::string_view text) {
  for (const Name& name : kNames)
    if (name.text == text) return name.code;
  return Code::internal;
}

void fail_errno(int errno_value, std::string_view doing) {
  fail(code_of_errno(errno_value), "{}: {}", doing,
       std::error_code(errno_value, std::generic_category()).message());
}

void rethrow_with(std::string_view context) {
  try {
    throw;
  } catch (const std::exception& error) {
    std::throw_with_nested(Error(code_of(error), fmt::format("{}: {}", context, error.what())));
  }
}

Code code_of(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return ours->code();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return Code::resource_exhausted;
  return Code::internal;
}

std::string causes_of(const std::exception& error) {
  std::string out;
  append_causes(error, out);
  return out;
}

}  // namespace lambdaml
