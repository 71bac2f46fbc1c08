#include "lambdaml/comm/packing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/text.h"

namespace lambdaml::comm {
namespace {

constexpr std::size_t kBlock = 256;
constexpr std::uint32_t kSize = 0x7fffffffU;  ///< all of a float but its sign

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

std::uint16_t to_bf16(float value) {
  const std::uint32_t b = bits(value);
  return static_cast<std::uint16_t>((b + 0x7fffU + ((b >> 16) & 1)) >> 16);
}
float from_bf16(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

/// Calls visit(first, size, block number) for the blocks that cover `n` values from index `begin`
/// on.
template <class Visit>
void for_blocks(std::size_t n, std::size_t begin, const Visit& visit) {
  std::size_t block = 0;
  for (std::size_t at = 0; at < n; ++block) {
    const std::size_t size = std::min(n - at, kBlock - (begin + at) % kBlock);
    visit(at, size, block);
    at += size;
  }
}
std::size_t block_count(std::size_t n, std::size_t begin) {
  return n == 0 ? 0 : (begin % kBlock + n + kBlock - 1) / kBlock;
}

/// The smallest e from −126 to 121 with |v| ≤ 127 · 2^e for all values of the block; larger values
/// are clamped to what is still a float.
int exponent_of(std::span<const float> block) {
  std::uint32_t most = 0;
  for (const float value : block) most = std::max(most, bits(value) & kSize);
  int power = 0;
  const float fraction = std::frexp(std::bit_cast<float>(most), &power);
  return std::clamp(fraction <= 127.0F / 128 ? power - 7 : power - 6, -126, 121);
}

/// In units of 2^e; |e| ≤ 126, so that both scale and its inverse are normal numbers.
float in_units(float value, float inverse) {
  return std::clamp(std::nearbyint(value * inverse), -127.0F, 127.0F);
}

}  // namespace

void round_to(Form form, std::span<float> values, std::size_t begin) {
  if (form == Form::bf16) {
    // Values that would round up to infinity become the largest finite number.
    constexpr float kLargest = 0x1.fep127F;
    for (float& value : values) value = from_bf16(to_bf16(std::clamp(value, -kLargest, kLargest)));
  } else if (form == Form::int8) {
    for_blocks(values.size(), begin, [&](std::size_t at, std::size_t size, std::size_t) {
      const std::span<float> block = values.subspan(at, size);
      const int exponent = exponent_of(block);
      const float unit = std::ldexp(1.0F, exponent);
      const float inverse = std::ldexp(1.0F, -exponent);
      for (float& value : block) value = in_units(value, inverse) * unit;
    });
  }
}

void keep_largest(std::span<float> values, std::size_t count) {
  if (count >= values.size()) return;
  // Finds the magnitude of the count-th largest by a radix search over its bits, 11, 10 and 10 at a
  // time; as integers they have the same order.
  std::uint32_t known = 0;
  std::uint32_t mask = 0;
  std::size_t wanted = count;  // among those that agree with `known` in `mask`
  for (const auto& [shift, width] : {std::pair{20U, 11U}, {10U, 10U}, {0U, 10U}}) {
    std::array<std::size_t, 2048> histogram{};
    const std::uint32_t digits = (1U << width) - 1;
    for (const float value : values) {
      const std::uint32_t size = bits(value) & kSize;
      if ((size & mask) == known) ++histogram[(size >> shift) & digits];
    }
    std::uint32_t digit = digits;
    while (histogram[digit] < wanted) wanted -= histogram[digit--];
    known |= digit << shift;
    mask |= digits << shift;
  }
  for (float& value : values) {
    const std::uint32_t size = bits(value) & kSize;
    if (size > known) continue;
    if (size == known && wanted > 0)
      --wanted;
    else
      value = 0;
  }
}

bool all_finite(std::span<const float> values) {
  std::uint32_t most = 0;
  for (const float value : values) most = std::max(most, bits(value) & kSize);
  return most < 0x7f800000U;
}

std::size_t packed_bytes(Form form, std::span<const float> values, std::size_t begin) {
  const std::size_t n = values.size();
  switch (form) {
    case Form::f32:
      return 4 * n;
    case Form::bf16:
      return 2 * n;
    case Form::int8:
      return 4 + block_count(n, begin) + n;
    case Form::sparse:
      return 8 * (n - static_cast<std::size_t>(std::count(values.begin(), values.end(), 0.0F)));
  }
  return 0;
}

void pack(Form form, std::span<const float> values, std::size_t begin, std::byte* out) {
  const auto put = [&](const auto& value) {
    std::memcpy(out, &value, sizeof value);
    out += sizeof value;
  };
  switch (form) {
    case Form::f32:
      std::ranges::copy(std::as_bytes(values), out);
      break;
    case Form::bf16:
      for (const float value : values) put(to_bf16(value));
      break;
    case Form::int8: {
      put(static_cast<std::uint32_t>(begin % kBlock));
      std::byte* const exponents = out;
      out += block_count(values.size(), begin);
      for_blocks(values.size(), begin, [&](std::size_t at, std::size_t size, std::size_t block) {
        const std::span<const float> of_block = values.subspan(at, size);
        const int exponent = exponent_of(of_block);
        exponents[block] = static_cast<std::byte>(exponent);
        const float inverse = std::ldexp(1.0F, -exponent);
        for (const float value : of_block) put(static_cast<std::int8_t>(in_units(value, inverse)));
      });
      break;
    }
    case Form::sparse:
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] == 0) continue;
        put(static_cast<std::uint32_t>(i));
        put(values[i]);
      }
      break;
  }
}

bool unpack(Form form, Bytes bytes, std::span<float> values) {
  const std::byte* at = bytes.data();
  const auto get = [&](auto& value) {
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
  };
  const std::size_t n = values.size();
  switch (form) {
    case Form::f32:
      if (bytes.size() != 4 * n) return false;
      std::ranges::copy(bytes, std::as_writable_bytes(values).begin());
      return true;
    case Form::bf16:
      if (bytes.size() != 2 * n) return false;
      for (float& value : values) {
        std::uint16_t half = 0;
        get(half);
        value = from_bf16(half);
      }
      return true;
    case Form::int8: {
      std::uint32_t begin = 0;
      if (bytes.size() < sizeof begin) return false;
      get(begin);
      if (begin >= kBlock || bytes.size() != 4 + block_count(n, begin) + n) return false;
      const std::byte* const exponents = at;
      at += block_count(n, begin);
      for_blocks(n, begin, [&](std::size_t first, std::size_t size, std::size_t block) {
        const float unit = std::ldexp(1.0F, static_cast<std::int8_t>(exponents[block]));
        for (float& value : values.subspan(first, size)) {
          std::int8_t units = 0;
          get(units);
          value = static_cast<float>(units) * unit;
        }
      });
      return true;
    }
    case Form::sparse: {
      if (bytes.size() % 8 != 0) return false;
      std::fill(values.begin(), values.end(), 0.0F);
      std::size_t next = 0;
      for (const std::byte* const end = at + bytes.size(); at != end;) {
        std::uint32_t index = 0;
        get(index);
        if (index < next || index >= n) return false;
        get(values[index]);
        next = std::size_t{index} + 1;
      }
      return true;
    }
  }
  return false;
}

std::vector<std::string> compression_names() { return {"none", "bf16", "int8", "topk"}; }

std::vector<Option> compression_options() {
  return {
      {.name = "compress",
       .default_value = std::string("none"),
       .help = "smaller messages of gradients and updates; what is left out is added to the next",
       .choices = compression_names()},
      {.name = "compress_share",
       .default_value = 0.01,
       .help = "share of the values that topk sends",
       .above = 0,
       .maximum = 1,
       .needs = {{"compress", {"topk"}}}}};
}

void require_increments(const Options& options, std::string_view optimizer,
                        bool merges_increments) {
  if (merges_increments || !is_changed(options, "compress")) return;
  fail(Code::invalid_argument,
       "compress {}: {} merges states, which travel whole; only gradients and updates are "
       "compressed",
       options.text("compress"), optimizer);
}

Compression compression_from(std::string_view name) {
  const std::vector<std::string> names = compression_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    fail(Code::invalid_argument, "unknown compression '{}'{}", printable(name),
         did_you_mean(name, names));
  return static_cast<Compression>(found - names.begin());
}

}  // namespace lambdaml::comm
