#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// The hosts that servers are asked to listen on.
namespace lambdaml {

/// Whether only programs of this machine reach it: an address of 127.0.0.0/8, ::1, or "localhost".
bool is_loopback(const std::string& host);

/// Whether a request's header Host, without its port (a tunnel may use another), names this machine
/// by 127.0.0.1, ::1 or localhost. A web page whose own name leads to this machine sends its name.
bool names_loopback(std::string_view header);

/// "host:port" as URLs have it: an address of IPv6 stands in brackets.
std::string with_port(const std::string& host, std::uint16_t port);

}  // namespace lambdaml
