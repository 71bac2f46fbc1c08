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

/// The setting of that name; empty when there is none.
std::string find(const Settings& settings, std::string_view name);

/// The sections of such a file. Lines that are none (no `[section]`, no `name = value`, a comment
/// by `#` or `;`) are passed over, as the AWS tools do.
std::map<std::string, Settings, std::less<>> parse_profiles(std::string_view text);

/// What the files say for the profile that AWS_PROFILE names (`default` without it).
struct Profile {
  std::string name;
  Settings config;       ///< `[profile NAME]` of the config file
  Settings services;     ///< `[services …]` that the profile names
  Settings credentials;  ///< `[NAME]` of the credentials file
};

/// Reads both files; one that is not there is empty. Throws permission_denied for one that may not
/// be read.
Profile read_profile();

/// The environment variable's value; empty when it is not set.
std::string variable(const char* name);

}  // namespace lambdaml::aws
