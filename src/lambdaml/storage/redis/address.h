#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::redis {

/// One server.
struct Endpoint {
  std::string host;  ///< an IPv6 address without its brackets
  std::uint16_t port = 6379;

  std::string text() const;  ///< host:port
  auto operator<=>(const Endpoint&) const = default;
};

/// Location and credentials of a store:
/// `redis://[[user]:password@]host[:6379][/database[/prefix]]`, or `rediss://…` over TLS.
struct Address {
  Endpoint server;  ///< one of them, for a cluster
  bool tls = false;
  std::string ca;              ///< file of trusted certificates; empty: the system's
  std::string user, password;  ///< empty: none
  /// If not empty, the password is a token of AWS's identity service for this cache: iam.h.
  std::string iam;
  int database = 0;
  std::int64_t ttl_s = 0;  ///< time to live of every key; 0: for ever
  std::string prefix;      ///< of all keys, without a slash at the end; may be empty

  /// Without credentials, for messages: scheme, host, port and database.
  std::string endpoint() const;
};

/// The options of the URI's query.
std::vector<Option> address_options(bool tls);

/// Parses a URI with its options. The path's first component is the database if it is a number,
/// otherwise part of the prefix. User information is percent-decoded; if it has no password,
/// `default_password` is used (null: none). Throws invalid_argument for a missing host, an unknown
/// option, or a number that is not a database.
Address address_of(const Uri& uri, const char* default_password = nullptr);

}  // namespace lambdaml::storage::redis
