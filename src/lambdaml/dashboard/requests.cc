#include "lambdaml/dashboard/requests.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/dashboard/pages.h"

namespace lambdaml::dashboard {
namespace {

using faas::sandbox::HttpReply;

/// As URLSearchParams writes it; what is malformed stays.
std::string decoded(std::string_view text) {
  std::string out(text);
  std::ranges::replace(out, '+', ' ');
  return percent_decoded_leniently(out);
}

int status_of(Code code) {
  switch (code) {
    case Code::not_found:
      return 404;
    case Code::invalid_argument:
      return 400;
    case Code::permission_denied:
      return 403;
    case Code::already_exists:
      return 409;
    case Code::unavailable:
    case Code::deadline_exceeded:
    case Code::cancelled:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

const std::string& Target::at(const std::string& name) const {
  static const std::string kNone;
  const auto found = query.find(name);
  return found == query.end() ? kNone : found->second;
}

Target target_of(std::string_view target) {
  Target out;
  const std::size_t mark = std::min(target.find('?'), target.size());
  out.path = target.substr(0, mark);
  if (mark == target.size()) return out;
  for (const std::string& pair : split(std::string(target.substr(mark + 1)), '&')) {
    const std::size_t equal = std::min(pair.find('='), pair.size());
    out.query[decoded(pair.substr(0, equal))] =
        equal < pair.size() ? decoded(std::string_view(pair).substr(equal + 1)) : "";
  }
  return out;
}

HttpReply reply_with(int status, const char* type, std::string body) {
  return {status,
          std::move(body),
          {{"Content-Type", type},
           {"Cache-Control", "no-store"},
           {"X-Content-Type-Options", "nosniff"},
           {"Referrer-Policy", "same-origin"},
           {"Cross-Origin-Resource-Policy", "same-origin"}}};
}

HttpReply page_reply(int status, std::string body) {
  HttpReply reply = reply_with(status, "text/html; charset=utf-8", std::move(body));
  reply.headers.emplace_back("Content-Security-Policy", kPolicy);
  return reply;
}

HttpReply json_reply(int status, std::string body) {
  return reply_with(status, "application/json", std::move(body));
}

HttpReply error_reply(int status, const std::string& message) {
  return json_reply(status, json_text(nlohmann::json{{"error", redacted(message)}}));
}

HttpReply reply_for(const std::exception& error) {
  return error_reply(status_of(code_of(error)), error.what());
}

}  // namespace lambdaml::dashboard
