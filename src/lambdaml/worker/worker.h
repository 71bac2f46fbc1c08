#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::worker {

/// The function handler `worker`: does what the event says (trains or predicts as one of N, or
/// measures rounds) and returns its report as JSON. The same on every platform. Safe to run again:
/// a later attempt continues from this worker's newest checkpoint and joins the others where they
/// wait, and an earlier attempt that is still running ends; an attempt that starts when the work is
/// done returns the existing report, and one that starts when the job is over reports that.
///
/// Requests besides data, rounds and checkpoints: 2 GETs and 3 PUTs for a first attempt (worker 0:
/// 4), 2 more GETs for a later one; one GET if the model has a definition, one GET per checkpoint
/// and three per second; for worker 0 one PUT per epoch and one per second.
std::string handle_worker_event(const faas::Invocation& invocation);

/// Registers the handler as `worker` in this process, for platforms whose workers are threads of
/// this process.
void register_handler();

}  // namespace lambdaml::worker
