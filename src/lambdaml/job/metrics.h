#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace lambdaml::job {

/// What is known at the end of an epoch, by name: the model's metrics, the optimizer's, and times;
/// `docs/reference/metrics.md` lists them.
struct EpochMetrics {
  std::uint64_t epoch = 0;  ///< the first is 1
  std::map<std::string, double> values;

  /// One line without a line end; numbers are printed in the shortest form that restores them.
  std::string to_json() const;
  /// Throws data_corrupt.
  static EpochMetrics from_json(std::string_view text);
};

}  // namespace lambdaml::job
