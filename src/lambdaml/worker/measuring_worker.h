#pragma once

#include <functional>
#include <string>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/event.h"

namespace lambdaml::worker {

/// The worker's side of `calibrate`: waits until all workers have started, measures the channel
/// from here and returns its report as JSON, with `measure` (StoreMeasure::to_json()) and `cold`,
/// whether its process was started for the event. Calls `each_second` now and then. Throws what the
/// store throws, and deadline_exceeded, naming who has not started.
///
/// Requests besides those of measure_store(): those of enter(), 3 and the polls of a wait.
std::string measure_channel(const job::CalibrateEvent& event, const faas::Invocation& invocation,
                            const std::function<void()>& each_second);

}  // namespace lambdaml::worker
