#include "lambdaml/base/uri.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

std::string masked(std::string_view text) {
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) return printable(text, 300);
  // User information stands before the last @ of the authority; values of the query may be secrets
  // too.
  const std::size_t begin = mark + 3;
  const std::size_t end = std::min(text.find_first_of("/?", begin), text.size());
  const std::size_t at = text.substr(0, end).rfind('@');
  std::string out(text.substr(0, begin));
  if (at != std::string_view::npos && at >= begin)
    out += fmt::format("***{}", text.substr(at, end - at));
  else
    out += text.substr(begin, end - begin);
  const std::size_t query = std::min(text.find('?', end), text.size());
  out += text.substr(end, query - end);
  for (std::string_view rest = text.substr(query); !rest.empty();) {
    const std::size_t next = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, next);
    const std::size_t equal = pair.find('=');
    out += equal == std::string_view::npos ? std::string(pair)
                                           : fmt::format("{}=***", pair.substr(0, equal));
    if (next < rest.size()) out += '&';
    rest.remove_prefix(std::min(next + 1, rest.size()));
  }
  return printable(out, 300);
}

bool is_scheme(std::string_view text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) != 0 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
         });
}

}  // namespace

std::string without_secrets(std::string_view text) {
  // What does not parse may have its secrets anywhere before an @.
  const std::size_t mark = text.find("://");
  const std::size_t at = text.rfind('@');
  if (mark == std::string_view::npos || at == std::string_view::npos || at < mark)
    return masked(text);
  return masked(fmt::format("{}***{}", text.substr(0, mark + 3), text.substr(at)));
}

Uri Uri::parse(std::string_view text) {
  if (text.empty()) fail(Code::invalid_argument, "an empty URI");
  Uri uri;
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) {
    uri.scheme = "file";
    uri.path = std::filesystem::absolute(std::filesystem::path(text)).lexically_normal().string();
    if (uri.path.size() > 1 && uri.path.ends_with('/')) uri.path.pop_back();
    return uri;
  }
  uri.scheme = text.substr(0, mark);
  if (!is_scheme(uri.scheme))
    fail(Code::invalid_argument, "URI '{}': bad scheme", without_secrets(text));
  std::string_view rest = text.substr(mark + 3);
  // A file's name may hold a question mark; the stores reached over the network take options there.
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
  const bool bracketed = authority.ends_with(']');
  const bool of_last_host =
      colon == std::string_view::npos || authority.find(',', colon) == std::string_view::npos;
  if (colon != std::string_view::npos && colon >= host_begin && !bracketed && of_last_host) {
    const auto port = to_integer(authority.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535)
      // What stands there may be a password whose @ is missing or whose / cut it short.
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
    uri.path = std::filesystem::path(uri.path.empty() ? "/" : uri.path).lexically_normal().string();
    if (uri.path.size() > 1 && uri.path.ends_with('/')) uri.path.pop_back();
  } else {
    while (uri.path.starts_with('/')) uri.path.erase(0, 1);
    while (uri.path.ends_with('/')) uri.path.pop_back();
  }
  return uri;
}

std::string Uri::text() const {
  std::string out = scheme + "://" + host;
  if (port) out += fmt::format(":{}", *port);
  if (!path.empty() && !path.starts_with('/')) out += '/';
  out += path;
  char separator = '?';
  for (const auto& [key, value] : query) {
    out += fmt::format("{}{}={}", separator, key, value);
    separator = '&';
  }
  return out;
}

std::string Uri::display() const {
  if (scheme == "file") return path;
  return masked(text());
}

Uri Uri::without_password() const {
  Uri out = *this;
  const std::size_t at = host.rfind('@');
  if (at == std::string::npos) return out;
  const std::string user = host.substr(0, std::min(host.find(':'), at));
  out.host = host.substr(user.empty() ? at + 1 : at);
  out.host.insert(0, user);
  return out;
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

}  // namespace lambdaml
