#pragma once

#include <cstdint>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// XXH3, 64 bits, of `bytes`. Finds accidents, not forgers.
std::uint64_t checksum(Bytes bytes, std::uint64_t seed = 0);

}  // namespace lambdaml
