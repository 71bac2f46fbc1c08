#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Region and endpoint of a service, from the variables and files that the AWS tools share.
namespace lambdaml::aws {

/// AWS_REGION, AWS_DEFAULT_REGION or the profile's `region`; empty if none is set.
std::string configured_region();

/// AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's service section or its
/// `endpoint_url`; empty if none is set or AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
std::string configured_endpoint(std::string_view service);

/// An address `http[s]://host[:port]`.
struct Endpoint {
  bool tls = true;
  std::string host;
  std::uint16_t port = 0;  ///< 0: the scheme's default
  bool custom = true;      ///< not AWS's own

  /// Throws invalid_argument for any other text, without repeating user information.
  static Endpoint parse(std::string_view text);
  std::string url() const { return (tls ? "https://" : "http://") + authority(); }
  /// host[:port], without the scheme's default port: the value of the header Host.
  std::string authority(std::string_view other_host = {}) const;
};

/// A service's endpoint and the region to sign for. Empty arguments are taken from the variables
/// and files above. If these do not name a region, it is us-east-1 at a custom endpoint (compatible
/// servers accept it) and an error at AWS; if they do not name an endpoint, it is AWS's.
struct Place {
  std::string region;
  Endpoint endpoint;
};
/// Throws invalid_argument, saying what to set.
Place find_place(std::string_view service, std::string region, std::string endpoint);

}  // namespace lambdaml::aws
