#pragma once

#include <string>
#include <vector>

#include "lambdaml/comm/registry.h"

/// The registered patterns, for tests of everything that runs over each of them.
namespace lambdaml::comm {

inline std::vector<std::string> patterns(bool bulk_synchronous) {
  std::vector<std::string> names;
  for (const Plugin& plugin : registry().entries())
    if (plugin.bulk_synchronous == bulk_synchronous) names.push_back(plugin.name);
  return names;
}

/// Those in which every merge waits for all workers, and the others.
inline std::vector<std::string> waiting_patterns() { return patterns(true); }
inline std::vector<std::string> patterns_without_waiting() { return patterns(false); }

}  // namespace lambdaml::comm
