#include "lambdaml/storage/memcached/address.h"

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::storage::memcached {

std::string Address::Server::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string Address::endpoint() const {
  std::vector<std::string> texts;
  for (const Server& server : servers) texts.push_back(server.text());
  return "memcached://" + join(texts, ",");
}

Address address_of(const Uri& uri) {
  const auto refuse = [&](std::string_view why) {
    fail(Code::invalid_argument,
         "{}: {}; a Memcached store is memcached://host[:port][,host[:port]…][/prefix]",
         uri.display(), why);
  };
  if (!uri.query.empty()) refuse("there are no options");
  if (uri.host.find('@') != std::string::npos) refuse("Memcached knows no users");
  Address address;
  // Uri parses the last port as the URI's and everything before it as the host.
  const std::string all = uri.port ? fmt::format("{}:{}", uri.host, *uri.port) : uri.host;
  for (const std::string& text : split(all, ',')) {
    Address::Server server;
    const std::size_t colon = text.rfind(':');
    const bool with_port = colon != std::string::npos && !text.ends_with(']');
    std::string_view host = std::string_view(text).substr(0, with_port ? colon : text.size());
    if (with_port) {
      const auto port = to_integer(std::string_view(text).substr(colon + 1));
      if (!port || *port < 1 || *port > 65535) refuse("a port must be 1 to 65535");
      server.port = static_cast<std::uint16_t>(*port);
    }
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty()) refuse("a host is missing");
    server.host = host;
    address.servers.push_back(std::move(server));
  }
  address.prefix = uri.path;
  return address;
}

}  // namespace lambdaml::storage::memcached
