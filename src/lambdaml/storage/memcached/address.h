#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::memcached {

/// Parses `memcached://[user:password@]host[:11211][,host2[:port2]…][/prefix]`, or `memcacheds://…`
/// over TLS.
struct Address {
  struct Server {
    std::string host;  ///< an IPv6 address without its brackets
    std::uint16_t port = 11211;
    std::string text() const;  ///< host:port
    bool operator==(const Server&) const = default;
  };
  std::vector<Server> servers;  ///< in the order of the URI; at least one
  std::string prefix;           ///< of all keys, without a slash at the end; may be empty
  bool tls = false;
  std::string ca;              ///< file of trusted certificates; empty: the system's
  std::string user, password;  ///< of ASCII authentication; empty: none

  std::string endpoint() const;  ///< the URI without prefix and credentials
};

/// The options of the URI's query.
std::vector<Option> address_options(bool tls);

/// Throws invalid_argument: no host, a bad port, a user without a password, or an unknown option.
Address address_of(const Uri& uri);

}  // namespace lambdaml::storage::memcached
