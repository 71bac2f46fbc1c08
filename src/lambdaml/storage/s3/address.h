#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::s3 {

/// The parts of `s3://BUCKET[/PREFIX][?region=…&endpoint=…&addressing=path|virtual&anonymous=1]`.
struct Address {
  std::string bucket;
  std::string prefix;    ///< without slashes at its ends; empty: none
  std::string region;    ///< empty: from the AWS variables and files
  std::string endpoint;  ///< likewise
  /// Where requests name the bucket. `automatic` uses the host name (virtual) at AWS; it uses the
  /// path at any other endpoint, and for a name that is not a single host label, such as one with
  /// dots, which no certificate covers.
  enum class Addressing { automatic, path, virtual_host } addressing = Addressing::automatic;
  bool anonymous = false;  ///< requests are not signed: a public bucket
  /// The zone of a directory bucket (S3 Express One Zone, express.h), "use1-az4" of
  /// `name--use1-az4--x-s3`; empty: it is none.
  std::string zone = {};
  std::int64_t prefixes = 1;  ///< by which the bucket is partitioned (spread.h)
  double rate = 0;            ///< requests per second and prefix; 0: see Bucket::limits()
};

/// region, endpoint, addressing, anonymous, prefixes, rate.
std::vector<Option> address_options();

/// Parses a URI; `options` are address_options() with its values. Throws invalid_argument for an
/// invalid bucket name (valid: 3 to 63 of a–z, 0–9, `-`, `.`) and for user information (credentials
/// come from the AWS variables and files).
Address parse_address(const Uri& uri, const Options& options);

}  // namespace lambdaml::storage::s3
