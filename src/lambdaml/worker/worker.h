#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::worker {

/// The function handler `worker`: does what the event says (trains as one of N, or measures rounds)
/// and returns its report, JSON. The same on every platform. Safe against being run again: a later
/// try continues from this worker's newest checkpoint and joins the others where they wait, and an
/// earlier one that is still alive leaves; one that comes when the work is done returns the report
/// that is there; one that comes when the whole job is over finds nothing of it and leaves.
///
/// Requests besides data, rounds and checkpoints: of a first try 2 GETs and 3 PUTs (worker 0: 4),
/// of a later one 2 GETs more; one GET where a model has a definition and one a checkpoint and
/// three a second, and for worker 0 one PUT an epoch and one a second.
std::string handle_worker_event(const faas::Invocation& invocation);

/// Enters the handler as `worker` among this process's handlers: platforms whose workers are
/// threads of this process find it there.
void register_handler();

}  // namespace lambdaml::worker
