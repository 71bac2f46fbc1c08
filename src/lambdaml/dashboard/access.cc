#include "lambdaml/dashboard/access.h"

#include <fmt/format.h>

#include "lambdaml/aws/digest.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/base/text.h"

namespace lambdaml::dashboard {

Access::Access(std::string token, std::uint16_t port)
    : token_(token), name_(fmt::format("lambdaml_{}", port)) {
  if (token.empty()) return;
  for (const std::byte byte : aws::hmac_sha256(as_bytes(token), "lambdaml dashboard"))
    value_ += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
}

bool Access::has_cookie(const faas::sandbox::HttpRequest& request) const {
  if (value_.empty()) return false;
  bool found = false;
  for (const std::string& part : split(std::string(request.header("Cookie")), ';')) {
    const std::string_view cookie = trim(part);
    const std::size_t equal = cookie.find('=');
    if (equal == std::string_view::npos || cookie.substr(0, equal) != name_) continue;
    found = Token::are_equal(cookie.substr(equal + 1), value_) || found;
  }
  return found;
}

std::string_view Access::bearer(const faas::sandbox::HttpRequest& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view value = request.header("Authorization");
  return value.starts_with(kScheme) ? trim(value.substr(kScheme.size())) : std::string_view();
}

std::string_view Access::token_of_form(std::string_view body) {
  constexpr std::string_view kName = "token=";
  return body.starts_with(kName) ? trim(body.substr(kName.size())) : std::string_view();
}

std::string Access::set_cookie() const {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000", name_, value_);
}

}  // namespace lambdaml::dashboard
