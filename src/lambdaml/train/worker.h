#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::train {

/// The function handler `worker`: does what the event says (trains as one of N, or measures rounds)
/// and returns its report, JSON. The same on every platform. Safe against being run again: a later
/// try continues from this worker's newest checkpoint and joins the others where they wait; one
/// that comes when the work is done returns the report that is there.
///
/// Requests besides data, rounds and checkpoints: 2 GETs at most and 2 PUTs, and for worker 0 one
/// PUT an epoch and one a second.
std::string handle_worker_event(const faas::Invocation& invocation);

}  // namespace lambdaml::train
