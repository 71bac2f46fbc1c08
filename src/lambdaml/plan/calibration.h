#pragma once

#include <string>
#include <vector>

namespace lambdaml::plan {

/// What was measured of a store.
struct Calibration {
  std::string profile;  ///< as YAML, a whole profile
  std::size_t requests = 0;
  bool is_complete = true;  ///< false: an interrupt or the time ended it; what there is, is kept
};

/// Measures the store at `channel` from this process for about `seconds`: latencies of each verb,
/// bandwidth, how many requests of a batch are under way at once, and whether waits are told.
/// Leaves nothing in it. Its requests may cost money. Functions are processes of this machine,
/// which start as the workers of the finished jobs in the folders `runs` did. Throws
/// what the store throws before anything was measured.
Calibration calibrate(const std::string& channel, double seconds,
                      const std::vector<std::string>& runs = {});

}  // namespace lambdaml::plan
