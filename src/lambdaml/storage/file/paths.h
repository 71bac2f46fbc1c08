#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace lambdaml::storage::file {

/// The file of a key.
struct Place {
  std::string folder;
  std::string name;
  std::string path() const { return folder + "/" + name; }
};

/// Keys are paths below `root`, part by part. Names that begin with `.#` belong to values that are
/// being written; a part of a key that begins that way gets one more `#`.
Place place_of(const std::string& root, std::string_view key);
std::string folder_of(const std::string& root, std::string_view folder_key);

/// The part of a key that is stored under `name`; nullopt for a value that is being written.
std::optional<std::string> part_of(std::string_view name);

/// A name for a value that is being written; unique within this process.
std::string temporary_name();

/// Shared memory of that size, or the folder for temporary files if it is too small for the
/// messages of a job: containers usually have 64 MB.
std::filesystem::path with_room(const std::filesystem::path& shared_memory, std::uint64_t bytes);

}  // namespace lambdaml::storage::file
