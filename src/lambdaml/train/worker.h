#pragma once

#include <string>
#include <string_view>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::train {

/// The report of a worker whose time is over before its work: another invocation with the same
/// event goes on from the state that it saved, to the bitwise same end.
inline constexpr std::string_view kToBeContinued = R"({"status":"to_be_continued"})";

/// The report of a worker that finds nothing of its job: it was started late, a second time.
inline constexpr std::string_view kJobIsOver = R"({"status":"job_is_over"})";

/// The report of a worker that finds that the channel has lost what it would begin with.
inline constexpr std::string_view kJobIsLost = R"({"status":"job_is_lost"})";

/// The report of a try of a worker that found a newer one at work and left.
inline constexpr std::string_view kTakenOver = R"({"status":"taken_over"})";

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

}  // namespace lambdaml::train
