#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "lambdaml/base/files.h"

namespace lambdaml::faas::sandbox {

/// The most that a function's zip may hold, unzipped, in bytes.
inline constexpr std::uint64_t kMostUnzipped = 250ull << 20;

/// Unpacks a zip from memory into the empty folder `into`, with the modes it tells for the owner
/// and none for others. Nothing is written outside the folder: absolute names, names with "..",
/// links that lead out of it, names that come twice and more than `most_bytes` make it throw
/// ServiceError (InvalidParameterValueException); what was written by then stays.
void unzip(std::string_view zip, const std::filesystem::path& into,
           std::uint64_t most_bytes = kMostUnzipped);

/// Throws ServiceError unless `folder` has a `bootstrap` that is no executable of another
/// architecture than `architecture` ("x86_64" or "arm64") or this machine's.
void check_bootstrap(const std::filesystem::path& folder, const std::string& architecture);

/// Where a function's unpacked code lies, for this user alone; removed with this object.
class CodeFolder {
 public:
  explicit CodeFolder(std::filesystem::path path) : path_(std::move(path)) { make_folder(path_); }
  ~CodeFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  CodeFolder(const CodeFolder&) = delete;
  CodeFolder& operator=(const CodeFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lambdaml::faas::sandbox
