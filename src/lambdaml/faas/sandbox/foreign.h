#pragma once

#include <optional>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "lambdaml/faas/sandbox/http_server.h"

/// Which clients a server on loopback refuses, whatever they request.
namespace lambdaml::faas::sandbox {

/// Whether a process of this user holds the other end of a connection that was just accepted. Logs
/// a warning about others, at most every ten seconds.
bool is_ours(const boost::asio::ip::tcp::socket& socket);
/// Throws permission_denied if the kernel does not reveal the users of connections, because then no
/// client could be served.
void require_users_known(const boost::asio::ip::tcp::endpoint& own);

/// Refuses requests that any local program of this user may send, but that no web page may make its
/// browser send. A page can name this machine by a name of its own (a foreign Host), and its
/// requests carry an Origin or, with a plain GET, Sec-Fetch-Site. Where clients.own_pages, those of
/// this server's own pages are allowed: the same origin, or none because the user entered the
/// address. Where clients.all_users, any Host is; there HTTP/1.0 may lack it, and nowhere else can
/// it be left out (RFC 9112, 3.2). Returns nullopt for a request that is allowed.
std::optional<HttpReply> refuse_foreign(const HttpRequest& head, const Clients& clients = {});

/// Status 400 in the format of both APIs.
HttpReply no_request(std::string_view why);

}  // namespace lambdaml::faas::sandbox
