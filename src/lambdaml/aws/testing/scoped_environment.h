#pragma once

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include <unistd.h>

/// For tests.
namespace lambdaml::aws {

/// Sets environment variables and restores them in the destructor. Meanwhile the machine's own AWS
/// configuration is hidden: no variables that begin with AWS_, no files, no metadata.
class ScopedEnvironment {
 public:
  explicit ScopedEnvironment(const std::map<std::string, std::string>& variables = {}) {
    for (char** at = environ; *at != nullptr; ++at) {
      const std::string entry = *at;
      if (entry.starts_with("AWS_")) before_[entry.substr(0, entry.find('='))] = std::nullopt;
    }
    for (auto& [name, value] : before_) {
      value = std::getenv(name.c_str());
      ::unsetenv(name.c_str());
    }
    set("AWS_CONFIG_FILE", "/dev/null");
    set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    set("AWS_EC2_METADATA_DISABLED", "true");
    for (const auto& [name, value] : variables) set(name, value);
  }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;
  ~ScopedEnvironment() {
    for (const auto& [name, value] : before_) {
      if (value)
        ::setenv(name.c_str(), value->c_str(), 1);
      else
        ::unsetenv(name.c_str());
    }
  }

  void set(const std::string& name, const std::string& value) {
    if (!before_.contains(name)) {
      const char* old = std::getenv(name.c_str());
      before_[name] = old == nullptr ? std::nullopt : std::optional<std::string>(old);
    }
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  void unset(const std::string& name) {
    set(name, "");
    ::unsetenv(name.c_str());
  }

  /// Keys that no service knows.
  static std::map<std::string, std::string> with_keys() {
    return {{"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"}, {"AWS_SECRET_ACCESS_KEY", "SECRETEXAMPLE"}};
  }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace lambdaml::aws
