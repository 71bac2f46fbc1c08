#include "lambdaml/base/unique_id.h"

#include <random>

#include <fmt/core.h>

#include "lambdaml/base/fibers/scheduler.h"

namespace lambdaml {

std::uint64_t unique_number() {
  if (Scheduler* const scheduler = current_scheduler()) return scheduler->random_number();
  std::random_device device;
  const std::uint64_t high = device();
  return high << 32U | device();
}

std::string unique_id() { return fmt::format("{:016x}{:016x}", unique_number(), unique_number()); }

std::string unique_uuid() {
  const std::uint64_t high = unique_number();
  return uuid_of(high, unique_number());
}

std::string uuid_of(std::uint64_t high, std::uint64_t low) {
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32U, (high >> 16U) & 0xffffU,
                     high & 0xfffU, 0x8000U | (low >> 48U & 0x3fffU), low & 0xffff'ffff'ffffU);
}

}  // namespace lambdaml
