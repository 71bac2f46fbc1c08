#pragma once

#include <map>
#include <string>
#include <string_view>

/// The files that the AWS tools share: AWS_CONFIG_FILE (~/.aws/config) and
/// AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials).
namespace lambdaml::aws {

/// Names to values; a value nested below another (`s3 =` and, indented, `endpoint_url = …`) is
/// named `s3.endpoint_url`.
using Settings = std::map<std::string, std::string, std::less<>>;

/// The setting of that name; empty if there is none.
std::string find(const Settings& settings, std::string_view name);

/// The sections of such a file. Skips lines that are neither `[section]` nor `name = value`, and
/// comments (`#` or `;`), as the AWS tools do.
std::map<std::string, Settings, std::less<>> parse_profiles(std::string_view text);

/// The settings of the profile that AWS_PROFILE names (by default `default`).
struct Profile {
  std::string name;
  /// `[profile NAME]` of the config file, and what is no key in `[NAME]` of the credentials file.
  Settings config;
  Settings services;     ///< `[services …]` that the profile names
  Settings sso_session;  ///< `[sso-session …]` that the profile names
  Settings credentials;  ///< `[NAME]` of the credentials file
};

/// Reads both files; a missing file is empty. Throws permission_denied for an unreadable one.
Profile read_profile();
/// The same for the profile of that name.
Profile read_profile(std::string name);

/// The environment variable's value; empty if it is not set.
std::string variable(const char* name);

}  // namespace lambdaml::aws
