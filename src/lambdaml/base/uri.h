#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml {

/// `scheme://host[:port]/path[?key=value&…]`. A text without a scheme is a local path and becomes
/// `file://` with the absolute path; a bare word that follows no path form is left to the caller.
/// User information in the authority stays in `host` and is never printed by display(). Of several
/// hosts (`a:1,b:2`) all stay in `host`, with their ports but for the last one's.
struct Uri {
  std::string scheme;
  std::string host;  ///< empty for file
  std::optional<std::uint16_t> port;
  std::string path;  ///< with its leading slash for file, without it for every other scheme
  std::map<std::string, std::string> query;

  /// Throws invalid_argument naming the text (its secrets masked) and the fault.
  static Uri parse(std::string_view text);

  /// The text again; parse(text()) is the same Uri.
  std::string text() const;
  /// text() with user information masked: what may be printed or logged.
  std::string display() const;
  /// The same place without the password of its user information: what may be kept in a file.
  Uri without_password() const;
  /// The Uri one path component up, and that last component. `file:///a/b` → `file:///a`, `b`.
  Uri parent() const;
  std::string name() const;
  /// The Uri with `/component` appended to its path.
  Uri operator/(std::string_view component) const;

  bool operator==(const Uri&) const = default;
};

/// A text that may be a URI, for messages: what stands before the last @ and the values of a query
/// masked, control characters escaped, 300 characters at most.
std::string without_secrets(std::string_view text);

}  // namespace lambdaml
