#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "integration/servers.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/testing/faults.h"

/// Stores on real servers, by scheme.
namespace lambdaml::servers {

/// The schemes of the registered stores that more machines than one can reach: each needs a server,
/// and servers.cc must know how to start it.
inline std::vector<std::string> schemes() {
  std::vector<std::string> out;
  for (const storage::Plugin& plugin : storage::registry().entries())
    if (plugin.reach == Reach::anywhere) out.push_back(plugin.name);
  return out;
}

/// These, and a Redis cluster, which has no scheme of its own.
inline std::vector<std::string> schemes_and_cluster() {
  std::vector<std::string> out = schemes();
  if (storage::registry().find("redis") != nullptr) out.push_back("cluster");
  return out;
}

/// Why the store of this scheme cannot be tested: its server is not on this machine, or it was
/// switched off in this build. Empty: it can.
inline std::string why_no_store(const std::string& scheme) {
  if (storage::registry().find(scheme == "cluster" ? "redis" : scheme) == nullptr)
    return "this build has no store " + scheme;
  return why_missing(scheme);
}

/// In a test's body or SetUp(): skips without the store, or fails when LAMBDAML_REQUIRE_SERVERS is
/// set.
#define REQUIRE_STORE(scheme)                                      \
  REQUIRE_OR_SKIP(lambdaml::servers::why_no_store(scheme).empty(), \
                  lambdaml::servers::why_no_store(scheme))

/// Whether every fault is tried in every store (LAMBDAML_FAULTS=all), rather than each in some.
inline bool wants_all_faults() {
  const char* const wanted = std::getenv("LAMBDAML_FAULTS");
  return wanted != nullptr && std::string(wanted) == "all";
}
/// All stores on servers, or those of them that `make test` takes.
inline std::vector<std::string> schemes_with_faults(const std::vector<std::string>& some) {
  if (wants_all_faults()) return schemes();
  return some;
}

/// The code and the message of the error that the call throws.
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return fmt::format("{}: {}", to_string(error.code()), error.what());
  }
  return "nothing thrown";
}

}  // namespace lambdaml::servers
