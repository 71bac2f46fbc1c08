#pragma once

#include <functional>
#include <string>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/event.h"

/// A worker on another machine, where the platform does not say how its event ends.
namespace lambdaml::worker {

/// Runs `work` and leaves word of how it ended in the job's channel and, beside
/// its checkpoints, its log, because the trigger learns it from nowhere else; a worker whose work
/// goes on hands the event to a fresh invocation of its own function. An error that another try may
/// mend is thrown, so that the service tries again.
///
/// `work` is given a function to call about once a second: the log is saved now and then, at most
/// one PUT in 5 s and at the end. The newest 256 KB of it are kept.
using Work = std::function<std::string(const std::function<void()>& each_second)>;
std::string report_to_storage(const faas::Invocation& invocation, const job::TrainEvent& event,
                              const Work& work);

}  // namespace lambdaml::worker
