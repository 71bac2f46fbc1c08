#include "lambdaml/faas/sandbox/foreign.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include <boost/beast/core/string.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/host_name.h"
#include "lambdaml/faas/sandbox/peer.h"

namespace lambdaml::faas::sandbox {
namespace {

using boost::asio::ip::tcp;

constexpr std::size_t kHeaders = 128;
constexpr std::chrono::seconds kWarningPause{10};

HttpReply refusal(int status, std::string_view type, std::string_view message) {
  return {status,
          json_text(
              nlohmann::json{{"errorMessage", message}, {"errorType", type}, {"Message", message}}),
          {{"Content-Type", "application/json"}, {"X-Amzn-ErrorType", std::string(type)}}};
}

bool is_same(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

/// Whether a header Origin or Sec-Fetch-Site is that of a page of this server, or of an address
/// that the user entered.
bool is_of_own_page(std::string_view name, std::string_view value, std::string_view host) {
  if (is_same(name, "Sec-Fetch-Site")) return value == "same-origin" || value == "none";
  const std::size_t scheme = value.find("://");
  return scheme != std::string_view::npos && is_same(value.substr(scheme + 3), host);
}

Address address_of(const tcp::endpoint& endpoint) {
  return {static_cast<std::uint32_t>(endpoint.address().to_v4().to_uint()), endpoint.port()};
}

void warn(uid_t user, std::uint16_t port) {
  static std::atomic<TimePoint::rep> quiet_until{0};
  const TimePoint now = time_now();
  TimePoint::rep until = quiet_until;
  if (now.time_since_epoch().count() < until ||
      !quiet_until.compare_exchange_strong(until, (now + kWarningPause).time_since_epoch().count()))
    return;
  log::warning("refused a connection of user {} to 127.0.0.1:{}, which serves user {} alone", user,
               port, geteuid());
}

}  // namespace

HttpReply no_request(std::string_view why) { return refusal(400, "InvalidRequest", why); }

std::optional<HttpReply> refuse_foreign(const HttpRequest& head, const Clients& clients) {
  if (head.headers.size() > kHeaders) return no_request("more than 128 headers");
  std::size_t hosts = 0;
  for (const auto& [name, value] : head.headers) {
    if (is_same(name, "Origin") || is_same(name, "Sec-Fetch-Site")) {
      if (!clients.own_pages)
        return refusal(403, "AccessDeniedException", "Web pages are not served here.");
      if (!is_of_own_page(name, value, head.header("Host")))
        return refusal(403, "AccessDeniedException",
                       "Requests of other web pages are not served here: enter the address.");
    }
    if (!is_same(name, "Host")) continue;
    if (++hosts > 1) return no_request("two headers Host");
    if (!clients.all_users && !names_loopback(value))
      return refusal(403, "AccessDeniedException",
                     "The header Host must be 127.0.0.1 or localhost.");
  }
  const bool may_lack_host = clients.all_users && head.version < 11;
  if (hosts == 0 && !may_lack_host) return no_request("no header Host");
  return std::nullopt;
}

bool is_ours(const tcp::socket& socket) {
  boost::system::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return false;
  const tcp::endpoint own = socket.local_endpoint(error);
  if (error) return false;
  const std::optional<uid_t> user = user_of_peer(address_of(peer), address_of(own)).user;
  // The answer is only valid if the connection is still open.
  static_cast<void>(socket.remote_endpoint(error));
  if (error || !user) return false;
  if (*user != geteuid()) warn(*user, own.port());
  return *user == geteuid();
}

void require_users_known(const tcp::endpoint& own) {
  if (!user_of_peer(address_of(own), address_of(own)).is_known)
    fail(Code::permission_denied,
         "cannot serve processes of this user alone: neither the kernel's socket diagnostics nor "
         "/proc/net/tcp tells whose a connection is; mount /proc");
}

}  // namespace lambdaml::faas::sandbox
