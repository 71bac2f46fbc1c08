#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lambdaml::plan {

/// What was measured of a store.
struct Calibration {
  std::string profile;  ///< as YAML, a whole profile
  std::size_t requests = 0;
  double cost_usd = 0;  ///< of functions and their requests
  /// The error or interrupt that ended it early: what was measured before is kept.
  std::optional<std::string> ended_by;
};

/// Measures the store at `channel` from this process for about `seconds`: latencies of each verb,
/// bandwidth, how many requests of a batch are under way at once, and whether waits are told; from
/// two seconds on also with some thirty small jobs on it, in about twenty seconds, which tell what
/// commands, and requests and bytes within jobs take.
/// Leaves nothing in it. Its requests may cost money. Functions are processes of this machine,
/// which start as the workers of the finished jobs in the folders `runs` did. Throws not_found for
/// a folder without such a job, and what the store and an interrupt throw while fewer than three
/// values were saved and loaded; after that, what they throw ends the measurement.
Calibration calibrate(const std::string& channel, double seconds,
                      const std::vector<std::string>& runs = {});

}  // namespace lambdaml::plan
