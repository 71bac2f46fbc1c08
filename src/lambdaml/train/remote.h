#pragma once

#include <functional>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/train/event.h"

/// What is different where functions run on other machines, and nobody says how their events end.
namespace lambdaml::train {

/// Whether the job's platform is such a one.
bool is_remote(const Options& options);

/// Whether workers of the job can reach a store: on other machines they reach no file and no memory
/// of this one.
bool is_within_reach(const Options& options, const std::string& uri);

/// Whether what a function puts there can be read when the function is gone.
bool outlives_function(const Uri& place);

/// Checks what a job on other machines needs, before anything is sent: a function, a channel and a
/// place for checkpoints within reach; checkpoints go beside the channel unless it can lose them.
/// Throws invalid_argument. Does nothing for other platforms.
void require_reach(Options& options);

/// The worker's side: runs `work` and leaves word of how it ended in the job's channel and, beside
/// its checkpoints, its log, because the trigger learns it from nowhere else; a worker whose work
/// goes on hands the event to a fresh invocation of its own function. An error that another try may
/// mend is thrown, so that the service tries again.
///
/// `work` is given a function to call about once a second: the log is saved now and then, at most
/// one PUT in 5 s and at the end. The newest 256 KB of it are kept.
using Work = std::function<std::string(const std::function<void()>& each_second)>;
std::string report_to_storage(const faas::Invocation& invocation, const TrainEvent& event,
                              const Work& work);

}  // namespace lambdaml::train
