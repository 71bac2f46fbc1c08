#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "lambdaml/base/files.h"

namespace lambdaml::faas::sandbox {

/// The largest unzipped size of a function's zip, in bytes.
inline constexpr std::uint64_t kMostUnzipped = 250ull << 20;

/// Unpacks a zip from memory into the empty folder `into`, with the owner's permissions from the
/// zip and none for others. Writes nothing outside the folder: throws ServiceError
/// (InvalidParameterValueException) for absolute names, names with "..", links that lead out of the
/// folder, repeated names and more than `most_bytes`; files written by then stay.
void unzip(std::string_view zip, const std::filesystem::path& into,
           std::uint64_t most_bytes = kMostUnzipped);

/// Throws ServiceError unless `architecture` ("x86_64" or "arm64") is this machine's and `folder`
/// contains a file `bootstrap` that, if it is an ELF file, is for that architecture.
void check_bootstrap(const std::filesystem::path& folder, const std::string& architecture);

/// The folder of a function's unpacked code, accessible to this user only; removed by the
/// destructor.
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
