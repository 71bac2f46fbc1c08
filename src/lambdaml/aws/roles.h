#pragma once

#include <optional>
#include <string>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/aws/profile.h"

/// Temporary credentials that AWS's services give in exchange for others: roles (Security Token
/// Service, STS) and single sign-on (IAM Identity Center). Each is one request;
/// AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_SSO replace the services' addresses. Errors:
/// permission_denied (refused, with the service's reason; or something that was configured is
/// missing) and unavailable.
namespace lambdaml::aws {

/// A role, as a profile or the environment names it.
struct Role {
  std::string arn;
  std::string session;           ///< a name for the role's log; empty: lambdaml
  std::string external_id = {};  ///< empty: none
  std::string duration_s = {};   ///< empty: the service's, an hour
  std::string region = {};       ///< empty: from the variables and files, or us-east-1
};

/// AssumeRole, signed with the credentials of a user who may.
TimedCredentials assume_role(const Role& role, const Credentials& user);
/// AssumeRoleWithWebIdentity, with the token in a file that others renew (EKS, GitHub Actions); it
/// is read for each request.
TimedCredentials assume_role_with_web_identity(const Role& role, const std::string& token_file);
/// With AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME; nullopt if they are
/// not set.
std::optional<TimedCredentials> credentials_from_web_identity();

/// Whether the profile names a role or single sign-on.
bool has_role(const Profile& profile);
/// The credentials of such a profile: `role_arn` with `source_profile`, `credential_source` or
/// `web_identity_token_file`; `sso_session` or `sso_start_url`, with the token that `aws sso login`
/// has left in ~/.aws/sso/cache. Profiles may name each other, in no circle.
TimedCredentials credentials_of_role(const Profile& profile);

}  // namespace lambdaml::aws
