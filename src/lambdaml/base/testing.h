#pragma once

#include <cstdlib>

#include <gtest/gtest.h>

/// What every layer's tests share.
namespace lambdaml {

/// Whether a test that lacks a program, a service or data fails instead of being skipped: in CI, or
/// where LAMBDAML_REQUIRE_SERVERS is set.
inline bool must_run_all_tests() {
  return std::getenv("CI") != nullptr || std::getenv("LAMBDAML_REQUIRE_SERVERS") != nullptr;
}

}  // namespace lambdaml

/// In a test's body or SetUp(): without `condition` the test is skipped and says `why` (evaluated
/// only then), or fails where none may be skipped.
#define REQUIRE_OR_SKIP(condition, why)                  \
  if (!(condition)) {                                    \
    if (lambdaml::must_run_all_tests()) FAIL() << (why); \
    GTEST_SKIP() << (why);                               \
  }                                                      \
  static_assert(true)
