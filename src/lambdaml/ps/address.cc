#include "lambdaml/ps/address.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::ps {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string Address::endpoint() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("ps://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::vector<Option> address_options() {
  return {{.name = "tls", .default_value = false, .help = "encrypt the connection"},
          {.name = "ca",
           .default_value = std::string(),
           .help = "file of the certificates that are trusted; by default LAMBDAML_PS_CA, or the "
                   "system's"}};
}

Address address_of(const Uri& uri) {
  Address address;
  std::string_view host = uri.host;
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) {
    const std::string_view before = host.substr(0, at);
    // A token in the user's place would not be treated as secret.
    if (!before.starts_with(':'))
      fail(Code::invalid_argument, "{}: a token stands after a colon: ps://[:TOKEN@]host[:27000]",
           uri.display());
    address.token = before.substr(1);
    host.remove_prefix(at + 1);
  }
  if (address.token.empty()) address.token = environment("LAMBDAML_PS_TOKEN");
  address.ca = environment("LAMBDAML_PS_CA");
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Options options(address_options());
  for (const auto& [name, value] : uri.query) options.parse(name, value, uri.display());
  address.tls = options.flag("tls");
  if (options.is_set("ca")) {
    address.ca = with_home(options.text("ca"));
    if (!address.tls)
      fail(Code::invalid_argument, "{}: 'ca' is for encrypted connections; add tls=1",
           uri.display());
  }
  if (address.tls && !address.ca.empty() && ::access(address.ca.c_str(), R_OK) != 0)
    fail(Code::invalid_argument, "{}: reading the certificates {}: {}", uri.display(), address.ca,
         std::strerror(errno));
  if (host.empty())
    fail(Code::invalid_argument,
         "{}: a parameter server is ps://[:token@]host[:27000][/prefix][?tls=1&ca=FILE]",
         uri.display());
  address.host = host;
  address.port = uri.port.value_or(address.port);
  address.prefix = uri.path;
  return address;
}

}  // namespace lambdaml::ps
