#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "integration/servers.h"
#include "lambdaml/base/testing.h"
#include "lambdaml/storage/registry.h"

/// Stores on real servers, by scheme.
namespace lambdaml::servers {

inline const char* const kSchemes[] = {"s3", "memcached", "redis", "dynamodb", "ps"};

/// Why the store of this scheme cannot be tested: its server is not on this machine, or it was
/// switched off in this build. Empty: it can.
inline std::string why_no_store(const std::string& scheme) {
  if (storage::registry().find(scheme) == nullptr) return "this build has no store " + scheme;
  return why_missing(scheme);
}

/// In a test's body or SetUp(): skips without the store, or fails when LAMBDAML_REQUIRE_SERVERS is
/// set.
#define REQUIRE_STORE(scheme)                                      \
  REQUIRE_OR_SKIP(lambdaml::servers::why_no_store(scheme).empty(), \
                  lambdaml::servers::why_no_store(scheme))

}  // namespace lambdaml::servers
