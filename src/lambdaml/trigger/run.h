#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/options.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/trigger/staging.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::trigger {

/// Where a job's workers start.
enum class Begin {
  anew,
  by_records,  ///< at the newest checkpoint that all of them have, as their commit records say
  by_states,   ///< the same, as all their states say, each of which is read whole
};

/// A job as its functions run it.
struct RunningJob {
  /// memory_mb is what the functions have, even where they were deployed with other memory than the
  /// job names.
  Options options;
  std::string architecture;            ///< of the deployed functions; empty: unknown
  bool checkpoints_in_folder = false;  ///< see InMemory
};

/// Starts a job's workers on its staged data, watches them until they end and puts their results
/// into the folder. Returns the summary; its wall_s is the value of `wall` at the end. Throws what
/// train() throws, and control::DamagedCheckpoint if the job began by_records and a worker's state
/// differs from its record: by_states then finds another one. After an error no worker is running
/// if the platform can end workers; otherwise they were told to stop.
nlohmann::ordered_json run_workers(const RunningJob& job, control::RunFolder& folder,
                                   control::JobChannel& channel, const StagedData& staged,
                                   Begin begin, const Stopwatch& wall, Observer& observer);

}  // namespace lambdaml::trigger
