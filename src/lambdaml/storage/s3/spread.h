#pragma once

#include <cstdint>
#include <memory>

#include "lambdaml/storage/storage.h"

namespace lambdaml::storage::s3 {

inline constexpr std::int64_t kMostPrefixes = 256;

/// Keys in `prefixes` folders at the top of the bucket, `00/` to `ff/`, by their checksum. S3
/// limits requests for each prefix, and a bucket that is partitioned by these folders takes as many
/// times more. Others find a key only through the same number of prefixes. A list and a clear take
/// one list of each folder, 16 at a time: ⌈prefixes / 16⌉ requests' time, and `prefixes` requests
/// billed, at least.
std::shared_ptr<Storage> with_spread(std::shared_ptr<Storage> inner, std::int64_t prefixes);

}  // namespace lambdaml::storage::s3
