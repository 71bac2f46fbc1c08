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

/// Where a job's workers begin.
enum class Begin {
  anew,
  by_records,  ///< at the newest checkpoint that all of them have, as their commit records say
  by_states,   ///< the same, as all their states say, each of which is read whole
};

/// Starts a job's workers on its staged data, watches them to their end and puts what they leave
/// into the folder. Returns the summary; its wall_s is what `wall` says then. Throws as train(),
/// and control::DamagedCheckpoint where the job began by_records and a worker's state is not what
/// its record tells of: by_states finds another one. When it throws, no worker of a platform that
/// can end them goes on; those of one that cannot were told to stop.
nlohmann::ordered_json run_workers(const Options& options, control::RunFolder& folder,
                                   control::JobChannel& channel, const StagedData& staged,
                                   Begin begin, const Stopwatch& wall, Observer& observer);

}  // namespace lambdaml::trigger
