#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/uri.h"

namespace lambdaml::storage::redis {

/// Where a store lies and how to get in:
/// `redis://[[user]:password@]host[:6379][/database[/prefix]]`.
struct Address {
  std::string host;  ///< an IPv6 address without its brackets
  std::uint16_t port = 6379;
  std::string user, password;  ///< empty: none
  int database = 0;
  std::string prefix;  ///< of all keys, without a slash at the end; may be empty

  /// What may be shown: scheme, host, port and database.
  std::string endpoint() const;
};

/// Reads a URI. The path's first component is the database if it is a number, else the prefix
/// begins with it. User information is percent-decoded; where it names no password,
/// `default_password` (null: none) is the one. Throws invalid_argument: no host, a query, or a
/// number that is no database.
Address address_of(const Uri& uri, const char* default_password = nullptr);

}  // namespace lambdaml::storage::redis
