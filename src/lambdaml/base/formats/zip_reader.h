#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// Reads a zip that lies in memory and may come from anybody: names are as they are in it, sizes
/// are believed by nobody. Used by one thread. libzip is loaded by the first one that is made.
class ZipReader {
 public:
  /// The bytes must outlive it. `what` names the zip in errors. Throws data_corrupt where it is no
  /// zip, or has more than 100,000 entries.
  ZipReader(Bytes zip, std::string what);
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;
  ~ZipReader();

  std::size_t entries() const { return entries_; }
  /// Of an entry; "" where the zip has none for it.
  std::string name(std::size_t entry) const;
  /// The entry's st_mode, where the zip was made on a Unix.
  std::optional<std::uint32_t> mode(std::size_t entry) const;
  std::optional<std::size_t> find(const std::string& name) const;

  /// Calls `take` with the entry's content, piece by piece; false, and no more pieces, where it is
  /// more than `most_bytes`. Throws data_corrupt for a damaged one.
  bool read(std::size_t entry, std::uint64_t most_bytes,
            const std::function<void(Bytes)>& take) const;

 private:
  struct Archive;
  std::string what_;
  std::unique_ptr<Archive> archive_;
  std::size_t entries_ = 0;
};

}  // namespace lambdaml
