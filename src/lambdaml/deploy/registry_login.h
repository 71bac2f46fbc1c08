#pragma once

#include <optional>
#include <string>

/// Where other programs left the logins of registries.
namespace lambdaml::deploy {

/// The variable with USER:PASSWORD for any registry.
inline constexpr const char* kRegistryAuthVariable = "LAMBDAML_REGISTRY_AUTH";

/// Docker Hub has several names; this is the one that images have: "docker.io". Others are returned
/// as they are.
std::string registry_name(std::string host);

/// Base64 of USER:PASSWORD for the repository `name` of the registry `host` (a registry_name()):
/// that of kRegistryAuthVariable, else the first in the files of docker, podman and skopeo login:
/// that of REGISTRY_AUTH_FILE alone if it is set, else DOCKER_CONFIG/config.json,
/// XDG_RUNTIME_DIR/containers/auth.json (/run/containers/UID/auth.json),
/// XDG_CONFIG_HOME/containers/auth.json (~/.config) and ~/.docker/config.json. A login of a part of
/// the registry (HOST/NAME…) goes before that of the whole. nullopt without one; credential helpers
/// are not asked, identity tokens not used. Throws invalid_argument (a variable without a colon, a
/// file that is no JSON) and errors of reading files.
std::optional<std::string> registry_login(const std::string& host, const std::string& name);

}  // namespace lambdaml::deploy
