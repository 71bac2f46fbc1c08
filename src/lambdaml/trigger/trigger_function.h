#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::trigger {

/// The function handler `trigger`: takes a job as one JSON object (the options of a job file, or a
/// payload of the original system), cuts the data, invokes the workers, waits for them and returns
/// the summary. A job that names no platform runs on the one that runs this function or, if this is
/// no function of a platform, on the first remote one. The workers' function is the job's
/// `function`, else LAMBDAML_FUNCTION, else "lambdaml-worker". The model and the summary are saved
/// at OUTPUT/JOB-ID/, where OUTPUT is a storage URI: `output`, else `checkpoint`, else
/// CHANNEL/results.
///
/// If a job is not done when the trigger's own time limit is near, it is stopped and handed to a
/// new invocation of the trigger, which resumes it from its checkpoints with the bitwise same
/// model; the response is then {"status":"to_be_continued","job_id":…}. The job's `deadline` covers
/// all of them.
///
/// An event that is delivered twice or retried is one job: its id is derived from the request's. Of
/// two invocations one works and the other waits: it continues from the checkpoints if the first
/// has failed, returns the summary when the job is done, and answers
/// {"status":"another_invocation_goes_on"} if that takes longer than its own time. This leaves a
/// few bytes at OUTPUT/JOB-ID/trigger/.
///
/// Throws what train() throws, and limit_reached if the time is over before there is a checkpoint.
std::string handle_trigger_event(const faas::Invocation& invocation);

}  // namespace lambdaml::trigger
