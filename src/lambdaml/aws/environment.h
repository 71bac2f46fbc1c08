#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Where a service is, by the variables and files that the AWS tools share.
namespace lambdaml::aws {

/// AWS_REGION, AWS_DEFAULT_REGION or the profile's `region`; empty when none says.
std::string configured_region();

/// AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's service section or its
/// `endpoint_url`; empty when none says, or AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
std::string configured_endpoint(std::string_view service);

/// An address `http[s]://host[:port]`.
struct Endpoint {
  bool tls = true;
  std::string host;
  std::uint16_t port = 0;  ///< 0: the scheme's own
  bool custom = true;      ///< not AWS's own

  /// Throws invalid_argument for what is no such address, without repeating user information.
  static Endpoint parse(std::string_view text);
  std::string url() const { return (tls ? "https://" : "http://") + authority(); }
  /// host[:port], the scheme's own port left out: what stands in the header Host.
  std::string authority(std::string_view other_host = {}) const;
};

/// A service's address and the region that is signed for. What is empty comes from the variables
/// and files above; then a region that nobody names is us-east-1 at a custom endpoint (the servers
/// that speak AWS's protocols take it), and an error at AWS; an endpoint that nobody names is
/// AWS's.
struct Place {
  std::string region;
  Endpoint endpoint;
};
/// Throws invalid_argument, saying what to set.
Place find_place(std::string_view service, std::string region, std::string endpoint);

}  // namespace lambdaml::aws
