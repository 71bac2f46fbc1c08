#pragma once

#include <cstdint>
#include <string>

namespace lambdaml::cli {

/// A moment in milliseconds since 1970, in the zone of this machine: "2026-11-30 14:20:03".
std::string local_time(std::uint64_t epoch_ms);

}  // namespace lambdaml::cli
