#include "lambdaml/deploy/registry_login.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"

namespace lambdaml::deploy {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// In the order in which they are looked at.
std::vector<fs::path> login_files() {
  const auto folder = [](const char* variable) -> std::optional<fs::path> {
    const std::optional<std::string> value = environment_variable(variable);
    return value ? std::optional<fs::path>(*value) : std::nullopt;
  };
  if (const auto file = folder("REGISTRY_AUTH_FILE")) return {*file};
  std::vector<fs::path> files;
  if (const auto docker = folder("DOCKER_CONFIG")) files.push_back(*docker / "config.json");
  const auto home = folder("HOME");
  const auto run = folder("XDG_RUNTIME_DIR");
  files.push_back(run ? *run / "containers/auth.json"
                      : fs::path("/run/containers") / std::to_string(getuid()) / "auth.json");
  if (const auto config = folder("XDG_CONFIG_HOME"))
    files.push_back(*config / "containers/auth.json");
  else if (home)
    files.push_back(*home / ".config/containers/auth.json");
  if (home) files.push_back(*home / ".docker/config.json");
  return files;
}

/// As containers call what docker names by a URL: https://index.docker.io/v1/ is docker.io.
std::string key_name(std::string key) {
  if (const std::size_t scheme = key.find("://"); scheme != std::string::npos) {
    key.erase(0, scheme + 3);
    key.resize(std::min(key.size(), key.find('/')));
  }
  const std::size_t slash = std::min(key.size(), key.find('/'));
  return registry_name(key.substr(0, slash)) + key.substr(slash);
}

std::string login_in(const json& entry) {
  // A token in place of the password is for a service of the registry's own.
  if (!entry.is_object() || !text_at(entry, "identitytoken").empty()) return {};
  if (std::string auth = text_at(entry, "auth"); !auth.empty()) return auth;
  const std::string user = text_at(entry, "username");
  return user.empty() ? "" : encode_base64(as_bytes(user + ":" + text_at(entry, "password")));
}

/// The longest key that is the repository or stands above it wins.
std::string login_in(const fs::path& file, const std::string& repository) {
  const std::optional<Buffer> text = read_file(file);
  if (!text || text->text().empty()) return {};
  const json config = parse_json(text->text());
  if (!config.is_object())
    fail(Code::invalid_argument, "{}: it is no JSON of docker, podman or skopeo login",
         file.string());
  const json auths = config.value("auths", json::object());
  std::pair<std::size_t, std::string> best;
  if (!auths.is_object()) return {};
  for (const auto& [key, entry] : auths.items()) {
    const std::string name = key_name(key);
    if (repository != name && !repository.starts_with(name + "/")) continue;
    if (std::string login = login_in(entry); !login.empty() && name.size() >= best.first)
      best = {name.size(), std::move(login)};
  }
  return best.second;
}

}  // namespace

std::string registry_name(std::string host) {
  if (host == "index.docker.io" || host == "registry-1.docker.io") return "docker.io";
  return host;
}

std::optional<std::string> registry_login(const std::string& host, const std::string& name) {
  if (const auto given = environment_variable(kRegistryAuthVariable)) {
    if (given->find(':') == std::string::npos)
      fail(Code::invalid_argument, "{}: it must be USER:PASSWORD", kRegistryAuthVariable);
    return encode_base64(as_bytes(*given));
  }
  for (const fs::path& file : login_files())
    if (std::string login = login_in(file, host + "/" + name); !login.empty()) return login;
  return {};
}

}  // namespace lambdaml::deploy
