#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"

/// Smaller forms of float vectors, for messages. All are deterministic, and a vector that was
/// brought to what its form can carry is packed without loss.
namespace lambdaml::comm {

enum class Form : std::uint8_t {
  f32 = 0,
  bf16 = 1,    ///< the upper half of each float, rounded to nearest even: 2 bytes
  int8 = 2,    ///< a power of two for each block of 256 and a signed byte for each value
  sparse = 3,  ///< index and value of what is not zero: 8 bytes each
};

/// Brings finite values to the nearest ones that the form can carry (f32 and sparse carry all).
/// Blocks of int8 begin where the index in the whole vector is a multiple of 256; values[0] has the
/// index `begin`.
void round_to(Form form, std::span<float> values, std::size_t begin);

/// Keeps the `count` values of largest size, the first of equals, and zeroes the others.
void keep_largest(std::span<float> values, std::size_t count);

bool all_finite(std::span<const float> values);

/// Bytes that pack() writes.
std::size_t packed_bytes(Form form, std::span<const float> values, std::size_t begin);
/// Values that round_to() would leave as they are.
void pack(Form form, std::span<const float> values, std::size_t begin, std::byte* out);
/// Fills `values` from packed bytes. Returns false for bytes that pack() has not written for so
/// many values.
bool unpack(Form form, Bytes bytes, std::span<float> values);

/// compress and compress_share, for the plug-ins that can send smaller messages.
std::vector<Option> compression_options();
/// Throws invalid_argument where increments are to be compressed and the optimizer merges none.
void require_increments(const Options& options, std::string_view optimizer, bool merges_increments);

/// What the option compress names.
enum class Compression { none, bf16, int8, topk };
std::vector<std::string> compression_names();
/// Throws invalid_argument.
Compression compression_from(std::string_view name);

}  // namespace lambdaml::comm
