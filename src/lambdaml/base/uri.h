#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml {

/// `scheme://host[:port]/path[?key=value&…]`. A text without a scheme is a local path and becomes
/// `file://` with the absolute path, a leading `~` being the user's home; a bare word that does not
/// look like a path is left to the caller. A file name may contain a question mark, so in a path
/// only `?shared=…`, `?watch=…` or both at the end are a query. User information stays in `host`;
/// display() masks it. A list of hosts (`a:1,b:2`) stays in `host` with all ports except the last.
///
/// A file's path may hold any bytes, but JSON and YAML hold only UTF-8: text() of another path is
/// `file:///…?encoded=1`, in whose path `%XX` is a byte. Other schemes must be UTF-8.
struct Uri {
  std::string scheme;
  std::string host;  ///< empty for file
  std::optional<std::uint16_t> port;
  std::string path;  ///< with its leading slash for file, without it for every other scheme
  std::map<std::string, std::string> query;

  /// Throws invalid_argument, naming the text (with its secrets masked) and the fault.
  static Uri parse(std::string_view text);

  /// The URI as text; parse(text()) gives the same Uri.
  std::string text() const;
  /// text() with user information masked, for messages and logs; of a file the path, if it is
  /// UTF-8. For files use without_passwords(text()).
  std::string display() const;
  /// The Uri one path component up, and its last component: `file:///a/b` → `file:///a`, `b`.
  Uri parent() const;
  std::string name() const;
  /// The Uri with `/component` appended to its path.
  Uri operator/(std::string_view component) const;

  bool operator==(const Uri&) const = default;
};

/// The path itself if it is UTF-8, otherwise its URI: for JSON and YAML. Uri::parse() reads both.
std::string utf8_path(std::string_view path);

/// The path that a `file://` URI names; any other text as it is.
std::string path_of_file_uri(std::string_view place);

/// `%41` → `A`; nullopt if a percent sign is not followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);
/// The same, but such a percent sign is kept.
std::string percent_decoded_leniently(std::string_view text);

/// A leading `~` is the user's home, as a shell has it: shells leave those alone that stand within
/// a word, as in `--data=~/x`, and job files see no shell.
std::string with_home(std::string_view text);

}  // namespace lambdaml
