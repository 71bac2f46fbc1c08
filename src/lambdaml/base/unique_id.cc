#include "lambdaml/base/unique_id.h"

#include <random>

#include <fmt/core.h>

namespace lambdaml {

std::uint64_t unique_number() {
  std::random_device device;
  const std::uint64_t high = device();
  return high << 32U | device();
}

std::string unique_id() { return fmt::format("{:016x}{:016x}", unique_number(), unique_number()); }

std::string unique_uuid() {
  const std::uint64_t high = unique_number(), low = unique_number();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32U, (high >> 16U) & 0xffffU,
                     high & 0xfffU, 0x8000U | (low >> 48U & 0x3fffU), low & 0xffff'ffff'ffffU);
}

}  // namespace lambdaml
