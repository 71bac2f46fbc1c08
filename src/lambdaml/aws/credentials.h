#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/base/bytes.h"

namespace lambdaml::aws {

/// Credentials and when they expire; absent: never.
struct TimedCredentials {
  Credentials credentials;
  std::optional<WallTime> expires;
};

/// The sources of credentials, in the order of the AWS tools. Each returns nullopt if it is not
/// configured, and throws if it is configured but fails: permission_denied, or unavailable for what
/// may pass.
/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
std::optional<TimedCredentials> credentials_from_environment();
/// The profile's keys in the credentials file, its `credential_process` (60 s at most), its keys in
/// the config file.
std::optional<TimedCredentials> credentials_from_profile();
/// Of these the keys that stand in the files alone: no program is run, and files that cannot be
/// read hold none.
std::optional<Credentials> keys_in_profile();
/// Whether the profile or the environment names another source than keys, the instance's role left
/// out: a program, a role, a sign-on, a container's service.
bool names_other_source();
/// AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (https, this machine, or the addresses of
/// ECS and EKS), with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN.
std::optional<TimedCredentials> credentials_from_container();
/// The EC2 instance's role, by IMDSv2, unless AWS_EC2_METADATA_DISABLED is true. Where nobody
/// answers, in a second, this is no instance.
std::optional<TimedCredentials> credentials_from_instance();

/// The JSON that processes, containers and instances answer with. Throws permission_denied, with
/// `source` in the message and nothing of the text.
TimedCredentials parse_credentials(std::string_view json, std::string_view source);

/// The process's credentials, fetched when first asked for and again five minutes before they
/// expire. Thread-safe; who asks while they are fetched waits.
class CredentialsSource {
 public:
  /// Throws permission_denied (nobody has some; says where was looked) or unavailable.
  Credentials get();
  /// Fresh ones after a service refused `stale`; the same again where there are no others.
  Credentials renew(const Credentials& stale);

 private:
  void fetch();

  std::mutex mutex_;
  std::optional<TimedCredentials> lent_;
  TimePoint next_try_{};
};

}  // namespace lambdaml::aws
