#include "lambdaml/base/secrets.h"

#include <algorithm>

#include <fmt/core.h>

#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

constexpr std::string_view kMark = "://";
constexpr std::size_t kNone = std::string_view::npos;

/// Whether the text is `host`, `host:port`, or a list of these. In any other text, a part may be a
/// password that contains a `/` or whose `@` is missing.
bool are_hosts(std::string_view text) {
  for (const std::string& host : split(text, ',')) {
    const std::size_t colon = host.rfind(':');
    if (colon == std::string::npos || host.ends_with(']')) continue;
    const auto port = to_integer(std::string_view(host).substr(colon + 1));
    if (!port || *port < 0 || *port > 65535) return false;
  }
  return true;
}

/// In the text after a scheme's `://`: how many bytes are user information with its `@`, and how
/// many more are masked because they may belong to it.
struct Secret {
  std::size_t user = 0;
  std::size_t more = 0;
};

/// In a list of URIs, the part that belongs to the first one.
std::string_view own_part(std::string_view rest) {
  const std::size_t mark = rest.find(kMark);
  if (mark == kNone) return rest;
  const std::size_t before = rest.substr(0, mark).find_last_of(", \t\n");
  return rest.substr(0, before == kNone ? rest.size() : before);
}

Secret secret_of(std::string_view rest, bool in_query) {
  rest = own_part(rest);
  const std::string_view authority = rest.substr(0, rest.find_first_of(in_query ? "/?&" : "/?"));
  const std::size_t at = authority.rfind('@');
  const std::string_view hosts = at == kNone ? authority : authority.substr(at + 1);
  if (are_hosts(hosts)) return {at == kNone ? 0 : at + 1};
  if (const std::size_t last = rest.rfind('@'); last != kNone) return {last + 1};
  const std::size_t colon = authority.find(':');
  return {colon, rest.size() - colon};
}

std::string with_masked_query(std::string_view rest) {
  const std::size_t query = std::min(rest.find('?'), rest.size());
  std::string out(rest.substr(0, query));
  for (rest.remove_prefix(query); !rest.empty();) {
    const std::size_t next = std::min(rest.find('&'), rest.size());
    const std::size_t equal = rest.substr(0, next).find('=');
    out += equal == kNone ? std::string(rest.substr(0, next))
                          : fmt::format("{}=***", rest.substr(0, equal));
    if (next < rest.size()) out += '&';
    rest.remove_prefix(std::min(next + 1, rest.size()));
  }
  return out;
}

}  // namespace

std::string without_passwords(std::string_view value) {
  std::string out;
  for (std::size_t mark; (mark = value.find(kMark)) != kNone;) {
    out += value.substr(0, mark + kMark.size());
    value.remove_prefix(mark + kMark.size());
    const Secret secret = secret_of(value, out.find('?') != kNone);
    const std::string_view info = value.substr(0, secret.user);
    const std::string_view user = info.substr(0, info.find(':'));
    out += user;
    if (!user.empty() && !user.ends_with('@') && info.ends_with('@')) out += '@';
    value.remove_prefix(secret.user + secret.more);
  }
  return out += value;
}

std::string masked(std::string_view uri) {
  std::string out;
  for (std::size_t mark; (mark = uri.find(kMark)) != kNone;) {
    out += uri.substr(0, mark + kMark.size());
    uri.remove_prefix(mark + kMark.size());
    const Secret secret = secret_of(uri, false);
    if (secret.more > 0)
      out += fmt::format("{}:***", uri.substr(0, secret.user));
    else if (secret.user > 0)
      out += "***@";
    uri.remove_prefix(secret.user + secret.more);
  }
  const bool is_uri = !out.empty();
  out += uri;
  return printable(is_uri ? with_masked_query(out) : out, 300);
}

std::string without_secrets(std::string_view value) {
  // If the URI does not parse, anything before an @ may be secret.
  const std::size_t mark = value.find(kMark);
  const std::size_t at = value.rfind('@');
  if (mark == kNone || at == kNone || at < mark) return masked(value);
  return printable(
      fmt::format("{}{}***{}", value.substr(0, mark), kMark, with_masked_query(value.substr(at))),
      300);
}

std::string redacted(std::string_view text) {
  std::string out;
  for (std::size_t mark; (mark = text.find(kMark)) != kNone;) {
    out += text.substr(0, mark + kMark.size());
    text.remove_prefix(mark + kMark.size());
    const std::string_view authority = text.substr(0, text.find_first_of("/?# \t\r\n\"'`<>"));
    const std::size_t at = authority.rfind('@');
    // A leading bracket belongs to a syntax description: redis://[[user]:password@]host.
    if (at == kNone || authority.starts_with('[')) continue;
    out += "***";
    text.remove_prefix(at);
  }
  return out += text;
}

}  // namespace lambdaml
