#include "lambdaml/storage/memcached/address.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::memcached {

std::string Address::Server::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string Address::endpoint() const {
  std::vector<std::string> texts;
  for (const Server& server : servers) texts.push_back(server.text());
  return (tls ? "memcacheds://" : "memcached://") + join(texts, ",");
}

std::vector<Option> address_options(bool tls) {
  if (!tls) return {};
  return {{.name = "ca",
           .default_value = std::string(),
           .help = "file of the certificates that are trusted; by default the system's"}};
}

Address address_of(const Uri& uri) {
  const auto refuse = [&](std::string_view why) {
    fail(Code::invalid_argument,
         "{}: {}; a Memcached store is {}://[user:password@]host[:port][,host[:port]…][/prefix]",
         uri.display(), why, uri.scheme);
  };
  Address address;
  address.tls = uri.scheme == "memcacheds";
  Options options(address_options(address.tls));
  for (const auto& [name, value] : uri.query) options.parse(name, value, uri.display());
  if (address.tls) address.ca = with_home(options.text("ca"));
  if (!address.ca.empty() && ::access(address.ca.c_str(), R_OK) != 0)
    fail(Code::invalid_argument, "{}: reading the certificates {}: {}", uri.display(), address.ca,
         std::strerror(errno));
  // Uri parses the last port as the URI's and everything before it as the host.
  std::string all = uri.port ? fmt::format("{}:{}", uri.host, *uri.port) : uri.host;
  if (const std::size_t at = all.rfind('@'); at != std::string::npos) {
    const std::string_view who = std::string_view(all).substr(0, at);
    const std::size_t colon = std::min(who.find(':'), who.size());
    address.user = percent_decoded_leniently(who.substr(0, colon));
    address.password = percent_decoded_leniently(who.substr(std::min(colon + 1, who.size())));
    if (address.user.empty() || address.password.empty())
      refuse("a user has a name and a password");
    all.erase(0, at + 1);
  }
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
