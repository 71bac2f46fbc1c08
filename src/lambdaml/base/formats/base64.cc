#include "lambdaml/base/formats/base64.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace lambdaml {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint32_t kBad = 1U << 24U;  ///< above the 24 bits of four digits

/// The two digits of each 12-bit value, written at once.
constexpr auto kPairs = [] {
  std::array<std::array<char, 2>, 4096> pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {kDigits[i >> 6U], kDigits[i & 63U]};
  return pairs;
}();

/// The six bits of a digit, shifted to each of its four positions; kBad for other characters.
constexpr auto kPlaces = [] {
  std::array<std::array<std::uint32_t, 256>, 4> places{};
  for (std::size_t place = 0; place < 4; ++place) {
    for (std::uint32_t& bits : places[place]) bits = kBad;
    for (std::uint32_t i = 0; i < 64; ++i)
      places[place][static_cast<unsigned char>(kDigits[i])] = i << (18 - 6 * place);
  }
  return places;
}();

}  // namespace

void append_base64(std::string& out, Bytes bytes) {
  const std::size_t begin = out.size();
  out.resize(begin + (bytes.size() + 2) / 3 * 4);
  char* to = out.data() + begin;
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  const auto put = [&](std::uint32_t twelve_bits) {
    std::memcpy(to, kPairs[twelve_bits].data(), 2);
    to += 2;
  };
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t bits = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    put(bits >> 12U);
    put(bits & 0xFFFU);
  }
  if (i == bytes.size()) return;
  const bool two = i + 2 == bytes.size();
  const std::uint32_t bits = byte(i) << 16U | (two ? byte(i + 1) << 8U : 0);
  put(bits >> 12U);
  put(bits & 0xFFFU);
  to[-1] = '=';
  if (!two) to[-2] = '=';
}

std::string encode_base64(Bytes bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

std::optional<Buffer> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  if (text.empty()) return Buffer();
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  Buffer out(text.size() / 4 * 3 - padding);
  std::byte* to = out.data();
  const auto* from = reinterpret_cast<const unsigned char*>(text.data());
  const auto* whole_end = from + (text.size() - (padding > 0 ? 4 : 0));
  std::uint32_t bad = 0;
  for (; from != whole_end; from += 4, to += 3) {
    const std::uint32_t bits =
        kPlaces[0][from[0]] | kPlaces[1][from[1]] | kPlaces[2][from[2]] | kPlaces[3][from[3]];
    bad |= bits;
    to[0] = static_cast<std::byte>(bits >> 16U);
    to[1] = static_cast<std::byte>(bits >> 8U);
    to[2] = static_cast<std::byte>(bits);
  }
  if (padding > 0) {
    const std::uint32_t third = padding == 1 ? kPlaces[2][from[2]] : 0;
    const std::uint32_t bits = kPlaces[0][from[0]] | kPlaces[1][from[1]] | third;
    bad |= bits;
    // The unused bits of the last digit must be zero.
    if ((bits & (padding == 1 ? 0xFFU : 0xFFFFU)) != 0) return {};
    to[0] = static_cast<std::byte>(bits >> 16U);
    if (padding == 1) to[1] = static_cast<std::byte>(bits >> 8U);
  }
  if (bad >= kBad) return {};
  return out;
}

}  // namespace lambdaml
