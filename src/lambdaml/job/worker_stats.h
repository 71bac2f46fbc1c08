#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/cost/cost.h"

namespace lambdaml::job {

/// What one worker's work took, over all the invocations that it went through.
struct WorkerStats {
  double startup_s = 0;  ///< from the first event's sending to its arrival
  double load_s = 0;
  double compute_s = 0;
  double comm_s = 0;
  double run_s = 0;  ///< of the function, as it is billed
  std::uint64_t invocations = 0;
  std::uint64_t memory_mb = 0;   ///< of the function, as it was configured; 0: nobody said
  std::uint64_t bytes_sent = 0;  ///< in rounds
  std::uint64_t bytes_received = 0;
  /// Of a worker that goes on in another invocation: how long it has waited for others in vain
  /// since its last step.
  double waited_s = 0;
  cost::UsageByStore usage;

  /// Adds up all but waited_s; the memory is the larger one.
  WorkerStats& operator+=(const WorkerStats& more);
  /// A JSON object whose keys are the names above.
  nlohmann::json to_json() const;
  /// Takes the keys it knows. Throws data_corrupt when one is missing or is no number.
  static WorkerStats from_json(std::string_view text);
};

}  // namespace lambdaml::job
