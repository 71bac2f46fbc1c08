#pragma once

#include <string>

#include "lambdaml/base/service/token.h"
#include "lambdaml/faas/sandbox/http_server.h"

namespace lambdaml::dashboard {

/// Who may use the page where a token is wanted: those who send it (`Authorization: Bearer TOKEN`),
/// and browsers that sent it once and got a cookie for it. Used by one thread.
class Access {
 public:
  Access(std::string token, std::uint16_t port);

  bool is_wanted() const { return token_.is_wanted(); }
  /// By its cookie.
  bool has_cookie(const faas::sandbox::HttpRequest& request) const;
  /// The token of the header Authorization; empty if there is none.
  static std::string_view bearer(const faas::sandbox::HttpRequest& request);
  /// The token of a form that was sent as text/plain; empty if there is none.
  static std::string_view token_of_form(std::string_view body);

  bool is_token(std::string_view guess) { return token_.is(guess); }
  /// By how much the next is_token() is to be delayed.
  double pause_s() { return token_.pause_s(); }
  /// The value of Set-Cookie. It is derived from the token, so it outlives this process, but does
  /// not reveal the token.
  std::string set_cookie() const;

 private:
  Token token_;
  std::string name_, value_;
};

}  // namespace lambdaml::dashboard
