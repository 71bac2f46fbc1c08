#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::s3 {

/// What `s3://BUCKET[/PREFIX][?region=…&endpoint=…&addressing=path|virtual]` says.
struct Address {
  std::string bucket;
  std::string prefix;    ///< without slashes at its ends; empty: none
  std::string region;    ///< empty: as the AWS variables and files say
  std::string endpoint;  ///< likewise
  /// How the bucket is named in requests. `automatic` is the host's part (virtual) at AWS, and the
  /// path's first part at any other endpoint and for a name that is no single part of a
  /// host's, such as one with dots, which no certificate covers.
  enum class Addressing { automatic, path, virtual_host } addressing = Addressing::automatic;
};

/// region, endpoint, addressing.
std::vector<Option> address_options();

/// `options`: address_options() as the URI has them. Throws invalid_argument: a name that no bucket
/// has (3 to 63 of a–z, 0–9, `-`, `.`), user information (credentials come from the AWS variables
/// and files).
Address parse_address(const Uri& uri, const Options& options);

}  // namespace lambdaml::storage::s3
