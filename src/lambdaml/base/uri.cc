#include "lambdaml/base/uri.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

bool is_scheme(std::string_view text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) != 0 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
         });
}

/// How the query of a path may begin.
constexpr std::array<std::string_view, 2> kQueries = {"?shared=", "?watch="};
/// The mark of an encoded path. What follows it are other members of the query.
constexpr std::string_view kEncoded = "?encoded=1";

/// Adds `shared=…&watch=…` to the query; false if it is anything else.
bool take_members(std::string_view text, std::map<std::string, std::string>& query) {
  std::map<std::string, std::string> members;
  for (const std::string& member : split(text, '&')) {
    const std::size_t equal = member.find('=');
    if (equal == std::string::npos ||
        std::ranges::find(kQueries, fmt::format("?{}", member.substr(0, equal + 1))) ==
            kQueries.end())
      return false;
    members[member.substr(0, equal)] = member.substr(equal + 1);
  }
  query.merge(members);
  return true;
}

/// Takes a query off the end of a path, which may otherwise contain question marks.
std::string without_query(std::string_view path, std::map<std::string, std::string>& query) {
  const std::size_t at = path.rfind('?');
  if (at == std::string_view::npos || path.find('/', at) != std::string_view::npos ||
      !take_members(path.substr(at + 1), query))
    return std::string(path);
  return at == 0 ? "." : std::string(path.substr(0, at));
}

/// Whether the text of a URI cannot hold the path as it is: it is not UTF-8, or its end would be
/// read as a query.
bool needs_encoding(std::string_view path) {
  const auto has = [&](std::string_view part) { return path.find(part) != std::string_view::npos; };
  return !is_utf8(path) || std::ranges::any_of(kQueries, has) || has(kEncoded);
}

std::string encoded(std::string_view path) {
  std::string out;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t length = utf8_length(path, at);
    if (length == 0 || path[at] == '%' || path[at] == '?')
      out += fmt::format("%{:02X}", static_cast<unsigned char>(path[at]));
    else
      out += path.substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string normal_path(const std::filesystem::path& path) {
  std::string out = path.lexically_normal().string();
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// nullopt for a percent sign without two digits if `strict`.
std::optional<std::string> decoded(std::string_view text, bool strict) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (strict && text[i] == '%' && low < 0) return {};
    out += low >= 0 ? static_cast<char>(high * 16 + low) : text[i];
    if (low >= 0) i += 2;
  }
  return out;
}

/// Buckets and tables are often copied as ARNs. The colons would be taken for a port's, or the
/// whole for a file's name. `arn`: arn:PARTITION:SERVICE:…
[[noreturn]] void fail_arn(std::string_view arn) {
  const std::vector<std::string> parts = split(arn, ':');
  const std::string scheme = parts.size() > 2 && is_scheme(parts[2]) ? parts[2] : "SCHEME";
  fail(Code::invalid_argument,
       "'{}' is an ARN: write the name of the bucket or table, and its region as an option: "
       "{}://NAME?region=REGION",
       printable(arn), scheme);
}

/// What stands before `://` in the places that are known here and elsewhere: with another number of
/// slashes, or none, it hardly begins a file's name.
constexpr std::array<std::string_view, 12> kSchemes = {
    "s3", "redis", "rediss", "memcached", "memcacheds", "dynamodb",
    "ps", "file",  "memory", "sim",       "http",       "https"};

bool is_known_scheme(std::string_view word) {
  return std::ranges::find(kSchemes, word) != kSchemes.end();
}

/// `127.0.0.1`, `localhost`, `[::1]`: what no file's name begins with, before a port.
bool is_host_of_here(std::string_view text) {
  const auto is_number = [](const std::string& part) {
    return to_integer(part) && part.size() <= 3 && part.front() != '-' && part.front() != '+';
  };
  const std::vector<std::string> parts = split(text, '.');
  return text == "localhost" || (text.starts_with('[') && text.ends_with(']')) ||
         (parts.size() == 4 && std::ranges::all_of(parts, is_number));
}

/// `HOST:PORT[/…]` as a URI, by the port that its service usually has; empty if it is none.
std::string meant_by_host(std::string_view text) {
  const std::string_view server = text.substr(0, text.find('/'));
  const std::size_t colon = server.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  const std::string_view host = server.substr(0, colon);
  const std::string_view port = server.substr(colon + 1);
  const char* scheme = port == "6379"    ? "redis"
                       : port == "11211" ? "memcached"
                       : port == "27000" ? "ps"
                                         : nullptr;
  if (scheme == nullptr && !(is_host_of_here(host) && to_integer(port))) return {};
  return fmt::format("{}://{}{}", scheme == nullptr ? "SCHEME" : scheme,
                     is_known_scheme(host) ? "HOST" : host, text.substr(colon));
}

/// The URI that a text without `://` is meant to be; empty if it is a local path.
std::string meant_by(std::string_view text) {
  const std::size_t end = text.find_first_of(":/");
  if (end == std::string_view::npos || end == 0) return {};
  if (std::string uri = meant_by_host(text); !uri.empty()) return uri;
  std::string word(text.substr(0, end));
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string_view rest = text.substr(end + 1);
  const bool has_colon = text[end] == ':';
  const bool is_slip = has_colon ? is_known_scheme(word) ||
                                       // Not a drive, c:/x.
                                       (word.size() > 1 && is_scheme(word) && rest.starts_with('/'))
                                 : is_known_scheme(word) && rest.starts_with('/');
  if (!is_slip) return {};
  const std::string_view bare = rest.substr(std::min(rest.find_first_not_of('/'), rest.size()));
  if (word != "file") return fmt::format("{}://{}", word, bare.empty() ? "…" : bare);
  return rest.starts_with('/') ? fmt::format("{}:///{}", word, bare) : std::string(rest);
}

/// A slip in a URI would name a folder of this machine. Whoever means one writes ./ before it, or
/// has it already.
void refuse_slip(std::string_view text) {
  const std::string meant = meant_by(text);
  std::error_code ignored;
  if (meant.empty() || std::filesystem::exists(
                           std::filesystem::symlink_status(std::filesystem::path(text), ignored)))
    return;
  // What stands before an @ may be a password.
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos)
    fail(Code::invalid_argument, "'***{}' is no URI: did you mean {}?",
         printable(text.substr(at, text.find('?', at) - at)), masked(meant));
  const std::string shown = without_secrets(text.substr(0, text.find('?')));
  fail(Code::invalid_argument, "'{}' is no URI: did you mean {}? A local path of that name is ./{}",
       shown, masked(meant), shown);
}

/// The path of a `file://` URI; fills its query.
std::string path_of_file_uri(std::string_view rest, std::map<std::string, std::string>& query) {
  const std::size_t mark = rest.rfind(kEncoded);
  if (mark == std::string_view::npos) return without_query(rest, query);
  const std::string_view more = rest.substr(mark + kEncoded.size());
  if (!more.empty() && (more.front() != '&' || !take_members(more.substr(1), query)))
    return without_query(rest, query);
  const std::optional<std::string> path = percent_decoded(rest.substr(0, mark));
  if (!path)
    fail(Code::invalid_argument, "URI 'file://{}': a % in it wants two hexadecimal digits",
         printable(rest));
  return *path;
}

}  // namespace

std::string with_home(std::string_view text) {
  if (text != "~" && !text.starts_with("~/")) return std::string(text);
  const std::optional<std::string> home = environment_variable("HOME");
  if (!home) return std::string(text);
  return *home + std::string(text.substr(1));
}

Uri Uri::parse(std::string_view text) {
  if (text.empty()) fail(Code::invalid_argument, "an empty URI");
  Uri uri;
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) {
    if (text.starts_with("arn:aws")) fail_arn(text);
    uri.scheme = "file";
    const std::string path = without_query(text, uri.query);
    refuse_slip(path);
    uri.path = normal_path(std::filesystem::absolute(with_home(path)));
    return uri;
  }
  uri.scheme = text.substr(0, mark);
  if (!is_scheme(uri.scheme))
    fail(Code::invalid_argument, "URI '{}': bad scheme", without_secrets(text));
  std::string_view rest = text.substr(mark + 3);
  if (uri.scheme != "file") {
    if (const std::size_t q = rest.find('?'); q != std::string_view::npos) {
      for (const std::string& pair : split(rest.substr(q + 1), '&')) {
        const std::size_t equal = pair.find('=');
        if (equal == std::string::npos || equal == 0)
          fail(Code::invalid_argument, "URI '{}': the query wants key=value pairs",
               without_secrets(text));
        uri.query[pair.substr(0, equal)] = pair.substr(equal + 1);
      }
      rest = rest.substr(0, q);
    }
  }
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  uri.path = slash == std::string_view::npos ? "" : rest.substr(slash);
  const std::size_t host_begin =
      authority.rfind('@') == std::string_view::npos ? 0 : authority.rfind('@') + 1;
  const std::size_t colon = authority.rfind(':');
  if (authority.starts_with("arn:aws")) fail_arn(rest);
  const bool bracketed = authority.ends_with(']');
  const bool of_last_host =
      colon == std::string_view::npos || authority.find(',', colon) == std::string_view::npos;
  if (colon != std::string_view::npos && colon >= host_begin && !bracketed && of_last_host) {
    const auto port = to_integer(authority.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535)
      // That text may be a password whose @ is missing or that contains a /.
      fail(Code::invalid_argument,
           "URI '{}://{}…': the port must be 1 to 65535; a password stands before an @, with / ? # "
           "@ in it as %2F %3F %23 %40",
           uri.scheme,
           host_begin > 0 ? "***@" : printable(authority.substr(0, authority.find(':'))));
    uri.port = static_cast<std::uint16_t>(*port);
    authority = authority.substr(0, colon);
  }
  uri.host = authority;
  if (uri.scheme == "file") {
    if (!uri.host.empty() && uri.host != "localhost")
      fail(Code::invalid_argument, "URI '{}': write file:///path, with three slashes",
           without_secrets(text));
    uri.host.clear();
    uri.path = normal_path(path_of_file_uri(uri.path.empty() ? "/" : uri.path, uri.query));
  } else {
    if (!is_utf8(text))
      fail(Code::invalid_argument, "URI '{}': it is not UTF-8, as names in a store must be",
           without_secrets(text));
    while (uri.path.starts_with('/')) uri.path.erase(0, 1);
    while (uri.path.ends_with('/')) uri.path.pop_back();
  }
  return uri;
}

std::string Uri::text() const {
  std::string out = scheme + "://" + host;
  if (port) out += fmt::format(":{}", *port);
  if (!path.empty() && !path.starts_with('/')) out += '/';
  const bool encodes = scheme == "file" && needs_encoding(path);
  out += encodes ? encoded(path) + std::string(kEncoded) : path;
  char separator = encodes ? '&' : '?';
  for (const auto& [key, value] : query) {
    out += fmt::format("{}{}={}", separator, key, value);
    separator = '&';
  }
  return out;
}

std::string Uri::display() const {
  if (scheme == "file") return utf8_path(path);
  return masked(text());
}

Uri Uri::parent() const {
  Uri up = *this;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    up.path.clear();
  else
    up.path = slash == 0 ? "/" : path.substr(0, slash);
  return up;
}

std::string Uri::name() const {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Uri Uri::operator/(std::string_view component) const {
  Uri down = *this;
  if (!down.path.empty() && !down.path.ends_with('/')) down.path += '/';
  down.path += component;
  return down;
}

std::string utf8_path(std::string_view path) {
  return is_utf8(path) ? std::string(path) : Uri::parse(path).text();
}

std::string path_of_file_uri(std::string_view place) {
  return place.starts_with("file://") ? Uri::parse(place).path : std::string(place);
}

std::optional<std::string> percent_decoded(std::string_view text) { return decoded(text, true); }

std::string percent_decoded_leniently(std::string_view text) { return *decoded(text, false); }

}  // namespace lambdaml
