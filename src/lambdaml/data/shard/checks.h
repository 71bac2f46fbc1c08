#pragma once

#include <cstdint>
#include <span>

/// Checks on a shard's arrays before they are used. A shard is loaded at the speed of memory, so
/// each check is one branch-free pass that compilers vectorize.
namespace lambdaml::data::shard {

/// Whether `offsets` begins with 0, never decreases and ends with `entries`.
bool offsets_partition(std::span<const std::uint64_t> offsets, std::uint64_t entries);

/// Whether indices ascend strictly within each row and are below `features`. `offsets` are those of
/// consecutive rows and the end of the last one; they must have passed offsets_partition().
bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint16_t> indices,
                    std::uint64_t features);
bool indices_ascend(std::span<const std::uint64_t> offsets, std::span<const std::uint32_t> indices,
                    std::uint64_t features);

/// Whether no value is nan or infinite.
bool all_finite(std::span<const float> values);

}  // namespace lambdaml::data::shard
