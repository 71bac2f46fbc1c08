#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/uri.h"

namespace lambdaml::storage::memcached {

/// Parses `memcached://host[:11211][,host2[:port2]…][/prefix]`.
struct Address {
  struct Server {
    std::string host;  ///< an IPv6 address without its brackets
    std::uint16_t port = 11211;
    std::string text() const;  ///< host:port
    bool operator==(const Server&) const = default;
  };
  std::vector<Server> servers;  ///< in the order of the URI; at least one
  std::string prefix;           ///< of all keys, without a slash at the end; may be empty

  std::string endpoint() const;  ///< the URI without the prefix
};

/// Throws invalid_argument: no host, a bad port, user information (the text protocol has none) or a
/// query.
Address address_of(const Uri& uri);

}  // namespace lambdaml::storage::memcached
