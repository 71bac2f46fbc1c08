#pragma once

#include <optional>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "lambdaml/faas/sandbox/http_server.h"

/// Who is not served by a server on loopback, whatever they ask.
namespace lambdaml::faas::sandbox {

/// Whether a process of this user holds the other end of a connection that was just accepted. Logs
/// a warning about others, at most one in ten seconds.
bool is_ours(const boost::asio::ip::tcp::socket& socket);
/// Throws permission_denied where the kernel does not tell the users of connections: nobody would
/// be served.
void require_users_known(const boost::asio::ip::tcp::endpoint& own);

/// The reply to what any local program of this user may send, but no web page may have its browser
/// send. A page can name this machine by a name of its own (a foreign Host), and its requests carry
/// an Origin or, with a plain GET, Sec-Fetch-Site. A request without Host is no browser's.
std::optional<HttpReply> refuse_foreign(const HttpRequest& head);

/// 400, in the words of both APIs.
HttpReply no_request(std::string_view why);

}  // namespace lambdaml::faas::sandbox
