#include "lambdaml/base/programs/own_file.h"

#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <dlfcn.h>
#include <unistd.h>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

namespace fs = std::filesystem;

/// The folder of this program, or of the shared library that this code is part of.
fs::path own_folder() {
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  Dl_info own{};
  // As part of a program, this code is in a file of the program's name as it was called.
  if (::dladdr(reinterpret_cast<const void*>(&own_folder), &own) != 0 && own.dli_fname != nullptr &&
      fs::path(own.dli_fname).is_absolute() && !fs::equivalent(own.dli_fname, self, error) &&
      !error)
    self = own.dli_fname;
  return self.parent_path();
}

/// The folder of a program that PATH names.
std::optional<fs::path> folder_on_path(std::string_view program) {
  const std::optional<std::string> path = environment_variable("PATH");
  if (!path) return {};
  for (const std::string& folder : split(*path, ':')) {
    const fs::path file = fs::path(folder) / program;
    if (!file.is_absolute() || ::access(file.c_str(), X_OK) != 0) continue;
    // A link into an installation stands for what it names.
    std::error_code error;
    const fs::path real = fs::canonical(file, error);
    return (error ? file : real).parent_path();
  }
  return {};
}

}  // namespace

fs::path own_file(std::string_view name) {
  std::vector<fs::path> folders{own_folder()};
  if (const std::optional<fs::path> folder = folder_on_path("lambdaml-worker"))
    folders.push_back(*folder);
  for (const fs::path& folder : folders)
    for (const fs::path& place : {folder, folder.parent_path() / "lib" / "lambdaml"}) {
      std::error_code error;
      if (fs::exists(place / name, error)) return place / name;
    }
  return folders.front() / name;
}

}  // namespace lambdaml
