#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::deploy {

struct ZipEntry {
  Buffer content;
  bool executable = false;  ///< mode 0755 instead of 0644
};

/// By path within the zip.
using ZipEntries = std::map<std::string, ZipEntry>;

/// Writes a zip whose bytes depend on its entries alone: their order is that of their names, and
/// their times are fixed. To a temporary name first, then renamed. Returns its size in bytes.
/// Throws what the file system says, and resource_exhausted.
std::uint64_t write_zip(const std::filesystem::path& path, const ZipEntries& entries);

/// The entry of that name, absent when there is none. `what` names the zip in errors: data_corrupt
/// for what is no zip, a damaged entry, or one above 250 MB.
std::optional<Buffer> read_zip_entry(Bytes zip, const std::string& name, const std::string& what);

}  // namespace lambdaml::deploy
