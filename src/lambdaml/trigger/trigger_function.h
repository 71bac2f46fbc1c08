#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::trigger {

/// The function handler `trigger`: takes a job as one JSON object (the options of a job file, or a
/// payload of the original system), cuts the data, invokes the workers, waits for them and returns
/// the summary. The platform is aws, unless the job names another; the workers' function is the
/// job's `function`, else LAMBDAML_FUNCTION, else "lambdaml-worker". `output` is a storage URI: the
/// model and the summary are put at OUTPUT/JOB-ID/; by default beside the checkpoints.
///
/// A job that is not done when the trigger's own time is nearly over is stopped and handed to a
/// fresh invocation of the trigger, which resumes it from its checkpoints, to the bitwise same
/// model; the response is then {"status":"to_be_continued","job_id":…}. The job's `deadline` counts
/// over all of them.
///
/// An event that is delivered twice, or tried again, is one job: its id comes from the request's.
/// Of two invocations for it one works; the other waits, goes on from the checkpoints when the
/// first has failed, returns the summary when it is done, and answers
/// {"status":"another_invocation_goes_on"} when it is not done in its own time either. For that a
/// few bytes stay at OUTPUT/JOB-ID/trigger/.
///
/// Throws as train() does, and limit_reached when the time is over before there
/// is a checkpoint.
std::string handle_trigger_event(const faas::Invocation& invocation);

}  // namespace lambdaml::trigger
