#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"

namespace lambdaml::fuzz {

/// Takes an input apart into the numbers and texts that a sequence of calls is made of, from the
/// front. One that is used up goes on with zeros, so that every input means something, and a small
/// change of it a small change of the calls. (No two are to be taken in one expression whose order
/// the language leaves open: compilers would not agree on what the input means.)
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }

  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto out = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return out;
  }
  /// 0 to n − 1.
  std::size_t below(std::size_t n) { return byte() % n; }
  bool flag() { return (byte() & 1U) != 0; }
  /// One of them.
  template <class T, std::size_t n>
  const T& one_of(const T (&choices)[n]) {
    return choices[below(n)];
  }

  /// Mostly small, else where counting goes wrong.
  std::uint64_t number() {
    constexpr std::array<std::uint64_t, 16> kEdges = {
        255,        256,        65535,      65536,          1U << 20U,
        INT32_MAX,  1ULL << 31, UINT32_MAX, 1ULL << 32,     1ULL << 53,
        1ULL << 62, INT64_MAX,  1ULL << 63, UINT64_MAX / 4, UINT64_MAX - 1,
        UINT64_MAX};
    const std::uint8_t b = byte();
    return b < 240 ? b % 16 : kEdges[b - 240U];
  }
  double real() {
    using Limits = std::numeric_limits<double>;
    constexpr std::array kReals = {
        0.0,  1.0,   -1.0, 0.5,  2.0,   -0.0,  3.0,    0.25,
        1e-3, 1e-30, 1e30, 3e38, -3e38, 1e300, -1e300, Limits::denorm_min()};
    const std::uint8_t b = byte();
    if (b == 255) return Limits::quiet_NaN();
    if (b == 254) return Limits::infinity();
    if (b == 253) return -Limits::infinity();
    return kReals[b % kReals.size()];
  }
  /// Of two bytes.
  std::size_t length() {
    const std::size_t low = byte();
    return low + 256U * byte();
  }
  /// Its length is said before it.
  std::string text() {
    const std::size_t said = length();
    const std::size_t length = std::min(left_.size(), said);
    std::string out(left_.substr(0, length));
    left_.remove_prefix(length);
    return out;
  }
  template <class T>
  std::vector<T> reals(std::size_t most) {
    std::vector<T> out(below(most + 1));
    for (T& value : out) value = static_cast<T>(real());
    return out;
  }

 private:
  std::string_view left_;
};

/// What is refused is not logged, too.
inline void be_quiet() {
  [[maybe_unused]] static const bool once =
      (log::configure(log::Level::off, log::Format::text), true);
}

/// Ends the process, which the fuzzer reports, unless it holds.
/// (clang 14 has no std::source_location.)
inline void require(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: this must hold\n", file, line);
  __builtin_trap();
}

/// The same for an error of any other code: these may come of any input, others are ours.
inline void require_code(const Error& error, std::initializer_list<Code> codes,
                         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const bool expected = std::find(codes.begin(), codes.end(), error.code()) != codes.end();
  if (!expected) std::fprintf(stderr, "%s\n", error.what());
  require(expected, file, line);
}

}  // namespace lambdaml::fuzz
