#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "lambdaml/base/bytes.h"

/// Compressed files: gzip, bzip2, xz and zstd, recognized by their first bytes. One file of this
/// folder per format (codec.h).
namespace lambdaml::data {

/// A compressed file's content (all members of it); `bytes` themselves if they are not compressed.
/// Throws data_corrupt if it is truncated or damaged, and resource_exhausted above `limit` bytes or
/// three quarters of this machine's memory, because a small file may unpack to a thousand times its
/// size.
std::shared_ptr<const Buffer> decompress(
    std::shared_ptr<const Buffer> bytes, const std::string& what,
    std::uint64_t limit = std::numeric_limits<std::uint64_t>::max());

bool is_compressed(Bytes begin);
/// About the first `limit` bytes of a file's content, from the file's first bytes: fewer if these
/// hold no more. Throws data_corrupt if they are damaged.
Buffer decompressed_head(Bytes begin, const std::string& what, std::size_t limit);

/// A file name without the ending of a compressed file: `a.csv` of `a.csv.gz`.
std::string_view without_ending(std::string_view name);

}  // namespace lambdaml::data
