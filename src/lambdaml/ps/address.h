#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::ps {

/// Location and credentials of a server: `ps://[:TOKEN@]host[:27000][/prefix][?tls=1][&ca=FILE]`.
struct Address {
  std::string host;
  std::uint16_t port = 27000;
  std::string token;  ///< empty: none
  bool tls = false;
  std::string ca;      ///< file of trusted certificates; empty: the system's
  std::string prefix;  ///< of all keys, without a slash at the end

  std::string endpoint() const;
};

/// The options of the URI's query: tls and ca.
std::vector<Option> address_options();

/// Parses a URI; LAMBDAML_PS_TOKEN and LAMBDAML_PS_CA are the defaults of token and ca. Throws
/// invalid_argument.
Address address_of(const Uri& uri);

}  // namespace lambdaml::ps
