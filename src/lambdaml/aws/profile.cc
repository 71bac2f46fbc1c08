#include "lambdaml/aws/profile.h"

#include <cstdlib>
#include <filesystem>

#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"

namespace lambdaml::aws {
namespace {

std::string file_named_by(const char* name, const char* usual) {
  if (std::string path = variable(name); !path.empty()) return path;
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + usual;
}

std::map<std::string, Settings, std::less<>> read(const std::string& path) {
  if (path.empty()) return {};
  const auto text = read_file(path);
  return text ? parse_profiles(text->text()) : std::map<std::string, Settings, std::less<>>{};
}

/// "profile  NAME" → "profile NAME"
std::string section_name(std::string_view inside) {
  std::string out;
  for (const std::string& word : split(inside, ' '))
    if (!trim(word).empty()) out.append(out.empty() ? "" : " ").append(trim(word));
  return out;
}

/// A comment on the same line begins after a blank.
std::string_view without_comment(std::string_view value) {
  for (std::size_t i = 1; i < value.size(); ++i)
    if ((value[i] == '#' || value[i] == ';') && (value[i - 1] == ' ' || value[i - 1] == '\t'))
      return trim(value.substr(0, i));
  return value;
}

bool is_key(std::string_view setting) {
  return setting == "aws_access_key_id" || setting == "aws_secret_access_key" ||
         setting == "aws_session_token";
}

}  // namespace

std::string find(const Settings& settings, std::string_view name) {
  const auto at = settings.find(name);
  return at == settings.end() ? "" : at->second;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::map<std::string, Settings, std::less<>> parse_profiles(std::string_view text) {
  std::map<std::string, Settings, std::less<>> sections;
  Settings* section = nullptr;
  std::string outer;  // the name that indented lines stand below
  for (const std::string& raw : split(text, '\n')) {
    const std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const std::size_t end = line.find(']');
      section = end == std::string_view::npos ? nullptr
                                              : &sections[section_name(line.substr(1, end - 1))];
      outer.clear();
      continue;
    }
    const std::size_t equal = line.find('=');
    if (section == nullptr || equal == std::string_view::npos) continue;
    const std::string name(trim(line.substr(0, equal)));
    const std::string value(without_comment(trim(line.substr(equal + 1))));
    const bool indented = raw.front() == ' ' || raw.front() == '\t';
    if (indented && !outer.empty()) {
      (*section)[outer + "." + name] = value;
      continue;
    }
    outer = value.empty() ? name : "";
    (*section)[name] = value;
  }
  return sections;
}

Profile read_profile() {
  const std::string name = variable("AWS_PROFILE");
  return read_profile(name.empty() ? "default" : name);
}

Profile read_profile(std::string name) {
  Profile profile;
  profile.name = std::move(name);
  const auto take = [](auto& sections, std::string_view name) {
    const auto at = sections.find(name);
    return at == sections.end() ? Settings{} : std::move(at->second);
  };
  auto config = read(file_named_by("AWS_CONFIG_FILE", "/.aws/config"));
  profile.config = take(config, "profile " + profile.name);
  if (profile.config.empty() && profile.name == "default") profile.config = take(config, "default");
  auto secrets = read(file_named_by("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials"));
  profile.credentials = take(secrets, profile.name);
  // AWS's tools read roles and regions there too.
  for (const auto& [setting, value] : profile.credentials)
    if (!is_key(setting)) profile.config[setting] = value;
  if (const auto named = profile.config.find("services"); named != profile.config.end())
    profile.services = take(config, "services " + named->second);
  if (const auto named = profile.config.find("sso_session"); named != profile.config.end())
    profile.sso_session = take(config, "sso-session " + named->second);
  return profile;
}

}  // namespace lambdaml::aws
