#pragma once

#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/options.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/trigger/staging.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::trigger {

/// Starts a job's workers on its staged data, watches them to their end and puts what they leave
/// into the folder. `resuming`: from the newest checkpoint that all of them have. Returns the
/// summary; its wall_s is what `wall` says then. Throws as train(), and when it does, no worker of
/// a platform that can end them goes on; those of one that cannot were told to stop.
std::string run_workers(const Options& options, control::RunFolder& folder,
                        control::JobChannel& channel, const StagedData& staged, bool resuming,
                        const Stopwatch& wall, Observer& observer);

}  // namespace lambdaml::trigger
