#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// Reads an untrusted zip in memory: names are returned as stored, and declared sizes are not
/// relied on. Used by one thread. The first instance of the process loads libzip.
class ZipReader {
 public:
  /// `zip` must outlive the reader. `what` names the zip in errors. Throws data_corrupt if it is
  /// not a zip or has more than 100,000 entries, unavailable if this machine has no libzip.
  ZipReader(Bytes zip, std::string what);
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;
  ~ZipReader();

  std::size_t entries() const { return entries_; }
  /// The entry's name; "" if the zip does not give one.
  std::string name(std::size_t entry) const;
  /// The entry's st_mode if the zip was made on Unix, otherwise nullopt.
  std::optional<std::uint32_t> mode(std::size_t entry) const;
  std::optional<std::size_t> find(const std::string& name) const;

  /// Calls `take` with the entry's content, piece by piece. Returns false, without further pieces,
  /// if the content exceeds `most_bytes`. Throws data_corrupt if the entry is damaged.
  bool read(std::size_t entry, std::uint64_t most_bytes,
            const std::function<void(Bytes)>& take) const;

 private:
  struct Archive;
  std::string what_;
  std::unique_ptr<Archive> archive_;
  std::size_t entries_ = 0;
};

}  // namespace lambdaml
