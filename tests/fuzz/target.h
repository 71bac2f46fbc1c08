#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lambdaml::fuzz {

struct Target {
  const char* name;
  int (*run)(const std::uint8_t*, std::size_t);
};
/// Generated from the lambdaml_add_fuzz() lines of tests/fuzz/CMakeLists.txt.
extern const std::vector<Target> kTargets;

}  // namespace lambdaml::fuzz
