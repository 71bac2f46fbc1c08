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

/// Writes a zip whose bytes depend only on its entries: they are sorted by name, with fixed times.
/// Writes to a temporary name, then renames. Returns the size in bytes. Throws file errors and
/// resource_exhausted.
std::uint64_t write_zip(const std::filesystem::path& path, const ZipEntries& entries);

/// The entry of that name; nullopt if there is none. `what` names the zip in errors: data_corrupt
/// for an invalid zip, a damaged entry, or one above 250 MB.
std::optional<Buffer> read_zip_entry(Bytes zip, const std::string& name, const std::string& what);

}  // namespace lambdaml::deploy
