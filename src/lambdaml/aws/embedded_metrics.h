#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lambdaml::aws {

/// Values for CloudWatch in its embedded metric format: a line in a function's log, from which
/// CloudWatch makes metrics without any request.
struct EmbeddedMetrics {
  std::string name_space;                         ///< of the metrics
  std::int64_t at_ms = 0;                         ///< since 1970
  std::map<std::string, std::string> dimensions;  ///< each combination of values is billed
  std::map<std::string, std::string> properties;  ///< what only the log has
  std::map<std::string, double> values;
};

/// The line, without its end. Values that are not finite, which JSON lacks, and those beyond the
/// format's 100 are left out.
std::string line_of(const EmbeddedMetrics& metrics);

}  // namespace lambdaml::aws
