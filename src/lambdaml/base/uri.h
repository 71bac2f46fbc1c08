#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml {

/// `scheme://host[:port]/path[?key=value&…]`. A text without a scheme is a local path and becomes
/// `file://` with the absolute path, a leading `~` being the user's home; a bare word that follows
/// no path form is left to the caller.
/// A file's name may hold a question mark: of a path only `?shared=…` at its end is a query.
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
  /// text() with user information masked: what may be printed or logged. What may be kept in a file
  /// is without_passwords(text()).
  std::string display() const;
  /// The Uri one path component up, and that last component. `file:///a/b` → `file:///a`, `b`.
  Uri parent() const;
  std::string name() const;
  /// The Uri with `/component` appended to its path.
  Uri operator/(std::string_view component) const;

  bool operator==(const Uri&) const = default;
};

/// `%41` → `A`; nullopt when a percent sign begins no such triple.
std::optional<std::string> percent_decoded(std::string_view text);
/// The same; a percent sign that begins no such triple stays.
std::string percent_decoded_leniently(std::string_view text);

}  // namespace lambdaml
