#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml {

/// XXH3, 64 bits, of `bytes`. Finds accidents, not forgers.
std::uint64_t checksum(Bytes bytes, std::uint64_t seed = 0);

/// The checksum of bytes that come piece by piece: the same as of all of them at once.
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

/// A checksum as files state it: 16 hexadecimal digits.
std::string checksum_text(std::uint64_t checksum);
/// The checksum that those digits, all 16 in lower case, state; absent for any other text.
std::optional<std::uint64_t> checksum_from(std::string_view text);

}  // namespace lambdaml
