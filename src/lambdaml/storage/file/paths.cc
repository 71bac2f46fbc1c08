#include "lambdaml/storage/file/paths.h"

#include <atomic>

#include <fmt/core.h>
#include <unistd.h>

namespace lambdaml::storage::file {

std::string folder_of(const std::string& root, std::string_view folder_key) {
  std::string path = root;
  while (!folder_key.empty()) {
    const std::size_t end = folder_key.find('/');
    const std::string_view part = folder_key.substr(0, end);
    path += '/';
    if (part.starts_with(".#")) path += ".#";
    path += part.starts_with(".#") ? part.substr(1) : part;
    folder_key.remove_prefix(end == std::string_view::npos ? folder_key.size() : end + 1);
  }
  return path;
}

Place place_of(const std::string& root, std::string_view key) {
  const std::string path = folder_of(root, key);
  const std::size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::optional<std::string> part_of(std::string_view name) {
  if (name.starts_with(".##")) return "." + std::string(name.substr(2));
  if (name.starts_with(".#")) return {};
  return std::string(name);
}

std::string temporary_name() {
  static std::atomic<std::uint64_t> serial{0};
  return fmt::format(".#{}.{}", ::getpid(), serial++);
}

std::filesystem::path with_room(const std::filesystem::path& shared_memory, std::uint64_t bytes) {
  constexpr std::uint64_t kLeast = 128U << 20U;
  return bytes < kLeast ? std::filesystem::temp_directory_path() : shared_memory;
}

}  // namespace lambdaml::storage::file
