#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lambdaml/aws/profile.h"
#include "lambdaml/aws/sigv4.h"
#include "lambdaml/base/bytes.h"

namespace lambdaml::aws {

/// Credentials and when they expire; nullopt: never.
struct TimedCredentials {
  Credentials credentials;
  std::optional<WallTime> expires;
};

/// The sources of credentials, in the order of the AWS tools. Each returns nullopt if it is not
/// configured, and throws if it is configured but fails: permission_denied, or unavailable for
/// temporary failures.
/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
std::optional<TimedCredentials> credentials_from_environment();
/// The profile's role or single sign-on (roles.h).
std::optional<TimedCredentials> credentials_from_role_of_profile();
/// The same, else its keys in the credentials file, its `credential_process` (at most 60 s), or its
/// keys in the config file.
std::optional<TimedCredentials> credentials_from_profile();
/// The keys of a profile, from its `credential_process` too; nullopt if it has none.
std::optional<TimedCredentials> keys_of_profile(const Profile& profile);
/// Only the keys in these files: runs no program, and treats unreadable files as empty.
std::optional<Credentials> keys_in_profile();
/// Whether the profile or the environment names a source other than keys (a program, a role, single
/// sign-on, a container's service); the instance's role does not count.
bool names_other_source();
/// AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (https, this machine, or the addresses of
/// ECS and EKS), with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN.
std::optional<TimedCredentials> credentials_from_container();
/// The EC2 instance's role, by IMDSv2, unless AWS_EC2_METADATA_DISABLED is true. nullopt if nothing
/// answers within a second: then this is not an instance.
std::optional<TimedCredentials> credentials_from_instance();

/// A place where credentials may be.
struct CredentialsPlace {
  const char* name;  ///< in messages
  std::optional<TimedCredentials> (*look)();
};
/// In the order in which they are looked at, which is that of AWS's tools: a web identity goes
/// before the keys of a profile, and after its role.
std::span<const CredentialsPlace> credentials_places();

/// "2030-01-31T12:00:00Z", perhaps with a fraction or "+00:00"; nullopt for any other text.
std::optional<WallTime> parse_time(const std::string& text);
/// Parses the JSON that processes, containers and instances answer with. Throws permission_denied,
/// naming `source` and quoting none of the text.
TimedCredentials parse_credentials(std::string_view json, std::string_view source);

/// Whose credentials sign requests. Thread-safe.
class CredentialsProvider {
 public:
  CredentialsProvider() = default;
  CredentialsProvider(const CredentialsProvider&) = delete;
  CredentialsProvider& operator=(const CredentialsProvider&) = delete;
  virtual ~CredentialsProvider() = default;

  virtual Credentials get() = 0;
  /// Fetches new ones after a service rejected `stale`; returns the same if there are no others.
  virtual Credentials renew(const Credentials& stale) = 0;
};

/// The process's credentials, fetched on first use and again five minutes before they expire.
/// Concurrent callers wait for a fetch in progress.
class CredentialsSource final : public CredentialsProvider {
 public:
  /// Throws permission_denied (no source has any; lists the sources) or unavailable.
  Credentials get() override;
  Credentials renew(const Credentials& stale) override;

 private:
  void fetch();

  std::mutex mutex_;
  std::optional<TimedCredentials> held_;
  TimePoint next_try_{};
};

}  // namespace lambdaml::aws
