#include "lambdaml/data/text/number.h"

#include <cmath>

#include <fast_float/fast_float.h>

namespace lambdaml::data {

const std::array<double, 2 * kMaxExponent + 1> kTens = {
    1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25,
    1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12,
    1e-11, 1e-10, 1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,   1e1,
    1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,  1e14,
    1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,  1e27,
    1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37};

const char* read_float_slowly(const char* p, float& value) {
  const bool negative = *p == '-';
  if (*p == '-' || *p == '+') ++p;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!digit(*p) && !(*p == '.' && digit(p[1]))) return nullptr;
  const char* end = p;
  while (digit(*end) || *end == '.' || *end == '-' || *end == '+' || (*end | 0x20) == 'e') ++end;
  float magnitude = 0;
  const auto [stop, error] = fast_float::from_chars(p, end, magnitude);
  if (stop == p || error == std::errc::invalid_argument || !std::isfinite(magnitude))
    return nullptr;
  value = negative ? -magnitude : magnitude;
  return stop;
}

bool has_comma_in_number(std::string_view text) {
  return text.find(',') != std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos &&
         text.find_first_not_of("+-0123456789.,") == std::string_view::npos &&
         text.find_last_of("+-") + 1 <= 1;
}

std::string_view remedy_for_number(std::string_view text) {
  return has_comma_in_number(text) ? "write numbers like 1234.5" : "correct it, or leave it out";
}

}  // namespace lambdaml::data
