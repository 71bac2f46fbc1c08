#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// The 64-bit XXH3 of `bytes`. Detects accidental damage, not forgery.
std::uint64_t checksum(Bytes bytes, std::uint64_t seed = 0);

/// The checksum of bytes that arrive in pieces; equal to checksum() of their concatenation. Used by
/// one thread.
class RunningChecksum {
 public:
  RunningChecksum();
  void add(Bytes bytes);
  std::uint64_t value() const;

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

/// A checksum as it is written in files: 16 hexadecimal digits.
std::string checksum_text(std::uint64_t checksum);
/// Parses those digits; returns nullopt unless `text` is exactly 16 lower-case digits.
std::optional<std::uint64_t> checksum_from(std::string_view text);

}  // namespace lambdaml
