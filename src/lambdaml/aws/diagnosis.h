#pragma once

#include <cstdint>
#include <optional>
#include <string>

/// What can be told about access to AWS without calling a service, and without secrets.
namespace lambdaml::aws {

/// Credentials that were found, not what they are.
struct CredentialsFound {
  std::string source;                  ///< "the environment", "the profile 'default'", …
  std::optional<double> expires_in_s;  ///< nullopt: never
};

/// Looks for credentials where clients look, in their order. nullopt if there are none. May run the
/// profile's program, and takes up to a second where no instance answers. Throws as the sources do:
/// permission_denied, unavailable.
std::optional<CredentialsFound> find_credentials();

/// By how many seconds a service's clock was ahead of this machine's when it last refused a request
/// for its date, in any client of this process; 0 if none did. Thread-safe.
std::int64_t observed_clock_offset_s();
/// For clients: sets it.
void note_clock_offset(std::int64_t seconds);

}  // namespace lambdaml::aws
