#include "lambdaml/storage/redis/address.h"

#include <limits>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::storage::redis {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string Address::endpoint() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("redis://{}{}{}:{}/{}", v6 ? "[" : "", host, v6 ? "]" : "", port, database);
}

Address address_of(const Uri& uri, const char* default_password) {
  Address address;
  std::string_view host = uri.host;
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = host.substr(0, at);
    const std::size_t colon = who.find(':');
    address.user = percent_decoded_leniently(who.substr(0, colon));
    if (colon != std::string_view::npos)
      address.password = percent_decoded_leniently(who.substr(colon + 1));
    host.remove_prefix(at + 1);
  }
  if (address.password.empty() && default_password != nullptr) address.password = default_password;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || !uri.query.empty())
    fail(Code::invalid_argument,
         "{}: a Redis store is redis://[[user]:password@]host[:port][/database[/prefix]]",
         uri.display());
  address.host = host;
  address.port = uri.port.value_or(address.port);
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
