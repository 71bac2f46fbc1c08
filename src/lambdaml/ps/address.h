#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::ps {

/// Where a server listens and how to get in:
/// `ps://[:TOKEN@]host[:27000][/prefix][?tls=1][&ca=FILE]`.
struct Address {
  std::string host;
  std::uint16_t port = 27000;
  std::string token;  ///< empty: none
  bool tls = false;
  std::string ca;      ///< the certificates that are trusted; empty: the system's
  std::string prefix;  ///< of all keys, without a slash at the end

  std::string endpoint() const;
};

/// tls and ca: what stands in the URI's query.
std::vector<Option> address_options();

/// Reads a URI; LAMBDAML_PS_TOKEN and LAMBDAML_PS_CA stand in for what it does not say. Throws
/// invalid_argument.
Address address_of(const Uri& uri);

}  // namespace lambdaml::ps
