#pragma once

#include <cstdint>
#include <span>

/// What must hold of a shard's arrays before they are used. A shard is loaded at the speed of
/// memory, so each check is one pass without branches that compilers turn into vector code.
namespace lambdaml::data::shard {

/// Whether `offsets` begins with 0, never falls and ends with `entries`.
bool offsets_partition(std::span<const std::uint64_t> offsets, std::uint64_t entries);

/// Whether indices ascend strictly within each row and are below `features`. `offsets` are those of
/// some consecutive rows and of the end of the last one; all must have passed offsets_partition().
bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint16_t> indices,
                    std::uint64_t features);
bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint32_t> indices,
                    std::uint64_t features);

/// Whether no value is nan or infinite.
bool all_finite(std::span<const float> values);

}  // namespace lambdaml::data::shard
