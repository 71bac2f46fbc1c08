#include "lambdaml/storage/redis/address.h"

#include <cerrno>
#include <cstring>
#include <limits>

#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::storage::redis {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void check_iam(const Uri& uri, const Address& address) {
  const std::size_t colon = address.iam.find(':');
  const std::string kind = address.iam.substr(0, colon);
  const bool is_known = kind == "cache" || kind == "serverless" || kind == "memorydb";
  if (!is_known || colon == std::string::npos || colon + 1 == address.iam.size())
    fail(Code::invalid_argument, "{}: iam is cache:NAME, serverless:NAME or memorydb:NAME",
         uri.display());
  if (address.user.empty() || !address.password.empty())
    fail(Code::invalid_argument,
         "{}: with iam the URI has a user and no password: rediss://user@host", uri.display());
}

}  // namespace

std::string Endpoint::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string Address::endpoint() const {
  return fmt::format("{}://{}/{}", tls ? "rediss" : "redis", server.text(), database);
}

std::vector<Option> address_options(bool tls) {
  std::vector<Option> options = {
      {.name = "ttl",
       .default_value = std::int64_t{0},
       .help = "time to live of each key from when it is saved, for servers that evict only such "
               "keys; 0 is for ever",
       .unit = "s",
       .minimum = 0}};
  if (!tls) return options;
  options.push_back({.name = "ca",
                     .default_value = std::string(),
                     .help = "file of the certificates that are trusted; by default the system's"});
  options.push_back({.name = "iam",
                     .default_value = std::string(),
                     .help = "log in with the process's AWS credentials to cache:NAME, "
                             "serverless:NAME or memorydb:NAME; the URI names the user"});
  return options;
}

Address address_of(const Uri& uri, const char* default_password) {
  Address address;
  address.tls = uri.scheme == "rediss";
  std::string_view host = uri.host;
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = host.substr(0, at);
    const std::size_t colon = who.find(':');
    address.user = percent_decoded_leniently(who.substr(0, colon));
    if (colon != std::string_view::npos)
      address.password = percent_decoded_leniently(who.substr(colon + 1));
    host.remove_prefix(at + 1);
  }
  const bool has_password = !address.password.empty() || uri.query.contains("iam");
  if (!has_password && default_password != nullptr) address.password = default_password;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty())
    fail(Code::invalid_argument,
         "{}: a Redis store is {}://[[user]:password@]host[:port][/database[/prefix]]",
         uri.display(), uri.scheme);
  address.server.host = host;
  address.server.port = uri.port.value_or(address.server.port);
  Options options(address_options(address.tls));
  for (const auto& [name, value] : uri.query) options.parse(name, value, uri.display());
  address.ttl_s = options.integer("ttl");
  if (address.tls) {
    address.ca = with_home(options.text("ca"));
    address.iam = options.text("iam");
  }
  if (!address.iam.empty()) check_iam(uri, address);
  if (!address.ca.empty() && ::access(address.ca.c_str(), R_OK) != 0)
    fail(Code::invalid_argument, "{}: reading the certificates {}: {}", uri.display(), address.ca,
         std::strerror(errno));
  std::string_view path = uri.path;
  const std::string_view first = path.substr(0, path.find('/'));
  if (all_digits(first)) {
    const auto number = to_integer(first);
    if (!number || *number > std::numeric_limits<int>::max())
      fail(Code::invalid_argument, "{}: there is no database {}", uri.display(), first);
    address.database = static_cast<int>(*number);
    path.remove_prefix(std::min(first.size() + 1, path.size()));
  }
  address.prefix = path;
  return address;
}

}  // namespace lambdaml::storage::redis
