#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"

/// Compact forms of float vectors for messages. All are deterministic; packing is lossless for
/// vectors that were rounded to the form.
namespace lambdaml::comm {

enum class Form : std::uint8_t {
  f32 = 0,
  bf16 = 1,    ///< the upper half of each float, rounded to nearest even: 2 bytes
  int8 = 2,    ///< a power of two for each block of 256 and a signed byte for each value
  sparse = 3,  ///< index and value of what is not zero: 8 bytes each
};

/// Rounds finite values to the nearest ones that the form can carry (f32 and sparse carry all).
/// int8 blocks begin at multiples of 256 in the whole vector; `begin` is the index of values[0].
void round_to(Form form, std::span<float> values, std::size_t begin);

/// Keeps the `count` values of largest magnitude, the first of equals, and sets the others to zero.
void keep_largest(std::span<float> values, std::size_t count);

bool all_finite(std::span<const float> values);

/// The bytes that pack() writes.
std::size_t packed_bytes(Form form, std::span<const float> values, std::size_t begin);
/// Packs values that round_to() would not change.
void pack(Form form, std::span<const float> values, std::size_t begin, std::byte* out);
/// Fills `values` from packed bytes. Returns false for bytes that pack() cannot have written for
/// that many values.
bool unpack(Form form, Bytes bytes, std::span<float> values);

/// The options compress and compress_share, for plug-ins that can send smaller messages.
std::vector<Option> compression_options();
/// Throws invalid_argument if compression is requested but the optimizer merges no increments.
void require_increments(const Options& options, std::string_view optimizer, bool merges_increments);

/// The values of the option compress.
enum class Compression { none, bf16, int8, topk };
std::vector<std::string> compression_names();
/// Throws invalid_argument for an unknown name.
Compression compression_from(std::string_view name);

}  // namespace lambdaml::comm
