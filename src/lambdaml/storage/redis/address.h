#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/uri.h"

namespace lambdaml::storage::redis {

/// Location and credentials of a store:
/// `redis://[[user]:password@]host[:6379][/database[/prefix]]`.
struct Address {
  std::string host;  ///< an IPv6 address without its brackets
  std::uint16_t port = 6379;
  std::string user, password;  ///< empty: none
  int database = 0;
  std::string prefix;  ///< of all keys, without a slash at the end; may be empty

  /// Without credentials, for messages: scheme, host, port and database.
  std::string endpoint() const;
};

/// Parses a URI. The path's first component is the database if it is a number, otherwise part of
/// the prefix. User information is percent-decoded; if it has no password, `default_password` is
/// used (null: none). Throws invalid_argument for a missing host, a query, or a number that is not
/// a database.
Address address_of(const Uri& uri, const char* default_password = nullptr);

}  // namespace lambdaml::storage::redis
