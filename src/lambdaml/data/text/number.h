#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

/// Parses decimal numbers eight digits at a time. All functions may read 8 bytes at any position up
/// to the end of the line, so the text must be followed by kReadable bytes.
namespace lambdaml::data {

static_assert(std::endian::native == std::endian::little, "the digits are picked by byte order");

/// Bytes that must be readable behind the last newline of a text.
constexpr std::size_t kReadable = 32;

inline std::uint64_t load8(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

/// Joins eight bytes of values 0 to 9, most significant first, into one number: pairs, then fours,
/// then all eight (Lemire, "Number parsing at a gigabyte per second", 2021, section 8).
inline std::uint64_t join_digits(std::uint64_t digits) {
  digits = digits * 10 + (digits >> 8);
  return ((digits & 0x000000ff000000ffULL) * 0x000f424000000064ULL +
          ((digits >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >>
         32;
}

/// Consecutive digits in the text.
struct Digits {
  std::uint64_t bytes;  ///< the next 8 bytes, digits as values 0 to 9
  unsigned count;       ///< how many of them are digits before the first other byte

  /// The number that they form; requires at least one digit.
  std::uint64_t value() const { return join_digits(bytes << ((64 - 8 * count) & 63)); }
};
/// Branch-free, because the number of digits is hard to predict.
inline Digits read_digits(const char* p) {
  const std::uint64_t digits = load8(p) ^ 0x3030303030303030ULL;
  // The high bit of each byte above 9; a carry disturbs only bytes behind the first such.
  const std::uint64_t others = ((digits + 0x7676767676767676ULL) | digits) & 0x8080808080808080ULL;
  return {digits, static_cast<unsigned>(std::countr_zero(others)) / 8};
}

constexpr std::array<std::uint64_t, 9> kPowers = {1,      10,      100,      1000,     10000,
                                                  100000, 1000000, 10000000, 100000000};

/// 10^e as the nearest double for e from -kMaxExponent to kMaxExponent. With a mantissa of at least
/// 1 the smallest product is above the smallest normal float.
constexpr int kMaxExponent = 37;
extern const std::array<double, 2 * kMaxExponent + 1> kTens;

constexpr std::uint32_t kInfinity = 0x7f800000;

/// read_float() for any decimal, using fast_float.
const char* read_float_slowly(const char* p, float& value);

/// Parses the decimal at `p` to the nearest float (as strtof does) and returns the end of its text;
/// null if there is none or it is out of range. No nan, inf or hexadecimal. One long function,
/// because it is the parser's innermost loop and has to be inlined whole.
[[gnu::always_inline]] inline const char* read_float(const char* p, float& value) {
  const char* const begin = p;
  const std::uint32_t negative = *p == '-' ? 1 : 0;
  p += negative;

  std::uint64_t mantissa = 0;
  unsigned digits = 1;
  int exponent = 0;
  // Most values are below 10: if the processor predicts that, it need not wait for the count.
  const auto first = static_cast<unsigned>(*p - '0');
  if (first <= 9 && p[1] == '.') [[likely]] {
    mantissa = first;
    ++p;
  } else if (first <= 9 && static_cast<unsigned char>(p[1]) <= ' ') {
    value = negative != 0 ? -static_cast<float>(first) : static_cast<float>(first);
    return p + 1;
  } else {
    const Digits whole = read_digits(p);
    if (whole.count == 0 || whole.count == 8) [[unlikely]]
      return read_float_slowly(begin, value);
    mantissa = whole.value();
    digits = whole.count;
    p += whole.count;
  }
  if (*p == '.') {
    ++p;
    const unsigned whole_digits = digits;
    Digits part = read_digits(p);
    while (part.count != 0) [[likely]] {
        p += part.count;
        digits += part.count;
        mantissa = mantissa * kPowers[part.count] + part.value();
        if (part.count < 8 || static_cast<unsigned>(*p - '0') > 9) [[likely]]
          break;
        part = read_digits(p);
      }
    exponent = static_cast<int>(whole_digits - digits);
    if (digits > 19 || mantissa >> 63 != 0) [[unlikely]]
      return read_float_slowly(begin, value);
  }
  if ((*p | 0x20) == 'e') {
    const char* q = p + 1;
    const bool down = *q == '-';
    if (*q == '-' || *q == '+') ++q;
    const Digits power = read_digits(q);
    if (power.count == 0 || power.count > 3) [[unlikely]]
      return read_float_slowly(begin, value);
    exponent += down ? -static_cast<int>(power.value()) : static_cast<int>(power.value());
    if (exponent < -kMaxExponent || exponent > kMaxExponent) [[unlikely]]
      return read_float_slowly(begin, value);
    p = q + power.count;
  }

  // mantissa · 10^exponent in double has three rounding errors: the mantissa's, the power's and the
  // product's, together less than 2 units in the last of its 53 places. Rounding it to a float is
  // correct unless the double is so close to the middle between two floats (its low 29 bits are
  // 2^28) that the true value may be on the other side; then the slow path decides.
  const double product = static_cast<double>(static_cast<std::int64_t>(mantissa)) *
                         kTens[static_cast<std::size_t>(exponent + kMaxExponent)];
  const std::uint64_t low = std::bit_cast<std::uint64_t>(product) & 0x1fffffffULL;
  if (low - (0x10000000ULL - 3) <= 6) [[unlikely]]
    return read_float_slowly(begin, value);
  const auto magnitude = std::bit_cast<std::uint32_t>(static_cast<float>(product));
  if (magnitude == kInfinity) [[unlikely]]
    return nullptr;
  value = std::bit_cast<float>(magnitude | negative << 31);
  return p;
}

/// Whether a text is a number but for a decimal comma or thousands separators.
bool has_comma_in_number(std::string_view text);
/// What to do about a text where a sparse format has a number.
std::string_view remedy_for_number(std::string_view text);

}  // namespace lambdaml::data
