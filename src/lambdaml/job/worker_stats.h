#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/cost/cost.h"

namespace lambdaml::job {

/// Of this program, where prices of functions depend on it: "arm64"; else empty.
std::string own_architecture();

/// Time, requests and bytes of one worker, over all its invocations.
struct WorkerStats {
  double startup_s = 0;  ///< from sending the first event to its arrival
  double load_s = 0;
  double compute_s = 0;
  double comm_s = 0;
  double run_s = 0;  ///< of the function, as it is billed
  std::uint64_t invocations = 0;
  std::uint64_t memory_mb = 0;   ///< of the function, as configured; 0: unknown
  std::string architecture;      ///< own_architecture() of the function
  std::uint64_t bytes_sent = 0;  ///< in rounds
  std::uint64_t bytes_received = 0;
  /// For a worker that continues in another invocation: how long it has waited for others without
  /// success since its last step.
  double waited_s = 0;
  cost::UsageByStore usage;

  /// Sets memory_mb and architecture to those of the function that runs this.
  void describe_function();
  /// Adds everything except waited_s and architecture; memory_mb becomes the larger one.
  WorkerStats& operator+=(const WorkerStats& more);
  /// A JSON object whose keys are the names above.
  nlohmann::json to_json() const;
  /// Reads the known keys. Throws data_corrupt if one is missing or not a number.
  static WorkerStats from_json(const nlohmann::json& object);
  /// A text would become a JSON string.
  static WorkerStats from_json(const std::string& text) = delete;
};

}  // namespace lambdaml::job
