#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/control/job_channel.h"

namespace lambdaml::trigger {

/// A job whose workers make parts of something, without rounds and checkpoints.
struct PartsJob {
  const Options& options;  ///< with those of options_of_predictions()
  control::JobChannel& channel;
  std::string job_id;
  std::vector<std::string> events;  ///< one per worker
  bool all_at_once = false;         ///< the workers wait for each other
};

/// Starts the workers, waits for them and returns their reports; failed attempts are repeated. On
/// every other way out the workers are stopped. The events' channel must hold what they need,
/// except for the job's key. Throws what a worker fails with, workers_lost, cancelled,
/// limit_reached (the option `deadline`), and what the stores throw.
std::vector<std::string> run_parts_job(PartsJob job);

}  // namespace lambdaml::trigger
