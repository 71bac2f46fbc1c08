#include "lambdaml/aws/environment.h"

#include <algorithm>
#include <cctype>

#include <fmt/core.h>

#include "lambdaml/aws/profile.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::aws {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

/// A region becomes part of a host's name.
bool is_region(std::string_view text) {
  return !text.empty() && text.size() < 64 && std::ranges::all_of(text, [](unsigned char c) {
    return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
  });
}

bool is_host(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' ||
           c == ']';
  });
}

}  // namespace

std::string configured_region() {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
    if (std::string region = variable(name); !region.empty()) return region;
  return find(read_profile().config, "region");
}

std::string configured_endpoint(std::string_view service) {
  if (variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true") return {};
  for (const std::string& name :
       {"AWS_ENDPOINT_URL_" + upper(service), std::string("AWS_ENDPOINT_URL")})
    if (std::string url = variable(name.c_str()); !url.empty()) return url;
  const Profile profile = read_profile();
  if (std::string url = find(profile.services, fmt::format("{}.endpoint_url", service));
      !url.empty())
    return url;
  return find(profile.config, "endpoint_url");
}

Endpoint Endpoint::parse(std::string_view text) {
  if (text.find("://") == std::string_view::npos) {
    // What stands before an @ may be a password.
    const std::size_t at = text.rfind('@');
    fail(Code::invalid_argument, "the endpoint '{}' is not of the form http[s]://host[:port]",
         at == std::string_view::npos ? without_secrets(text) : "***" + printable(text.substr(at)));
  }
  const Uri uri = Uri::parse(text);
  const bool http = uri.scheme == "http" || uri.scheme == "https";
  if (!http || uri.host.empty() || !uri.path.empty() || !uri.query.empty() || !is_host(uri.host))
    fail(Code::invalid_argument, "the endpoint '{}' is not of the form http[s]://host[:port]",
         uri.display());
  Endpoint out;
  out.tls = uri.scheme == "https";
  out.host = uri.host;
  out.port = uri.port.value_or(0);
  if (out.port == (out.tls ? 443 : 80)) out.port = 0;
  return out;
}

std::string Endpoint::authority(std::string_view other_host) const {
  std::string out(other_host.empty() ? std::string_view(host) : other_host);
  if (port != 0) out += fmt::format(":{}", port);
  return out;
}

Place find_place(std::string_view service, std::string region, std::string endpoint) {
  if (endpoint.empty()) endpoint = configured_endpoint(service);
  if (region.empty()) region = configured_region();
  if (region.empty() && !endpoint.empty()) region = "us-east-1";
  if (region.empty())
    fail(Code::invalid_argument,
         "{}: no AWS region is set: set AWS_REGION, `region` in ~/.aws/config, or AWS_ENDPOINT_URL",
         service);
  if (!is_region(region))
    fail(Code::invalid_argument, "{}: '{}' is no AWS region (such as us-east-1)", service, region);
  Place place{region, {}};
  if (!endpoint.empty()) {
    place.endpoint = Endpoint::parse(endpoint);
    return place;
  }
  place.endpoint.host =
      fmt::format("{}.{}.amazonaws.com{}", service, region, region.starts_with("cn-") ? ".cn" : "");
  place.endpoint.custom = false;
  return place;
}

}  // namespace lambdaml::aws
