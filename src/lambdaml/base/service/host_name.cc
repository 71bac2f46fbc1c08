#include "lambdaml/base/service/host_name.h"

#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/string.hpp>
#include <fmt/format.h>

namespace lambdaml {

namespace {

boost::asio::ip::address address_of(const std::string& host) {
  boost::system::error_code error;  // then the address is 0.0.0.0
  return boost::asio::ip::make_address(host, error);
}

}  // namespace

bool is_loopback(const std::string& host) {
  return host == "localhost" || address_of(host).is_loopback();
}

bool names_loopback(std::string_view header) {
  const std::size_t bracket = header.find(']');
  const std::string_view name = bracket != std::string_view::npos
                                    ? header.substr(0, bracket + 1)
                                    : header.substr(0, header.find(':'));
  return name == "127.0.0.1" || name == "[::1]" ||
         boost::beast::iequals({name.data(), name.size()}, "localhost");
}

std::string with_port(const std::string& host, std::uint16_t port) {
  return address_of(host).is_v6() ? fmt::format("[{}]:{}", host, port)
                                  : fmt::format("{}:{}", host, port);
}

}  // namespace lambdaml
