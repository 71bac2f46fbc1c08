#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::tune {

/// The function handler `tuner`. It takes a job file with its section `tune` as one JSON object and
/// begins that search, or `{"search": URI}` and goes on with the one whose records lie there.
/// The platform is aws, unless the job names another; the workers' function is the job's
/// `function`, else LAMBDAML_FUNCTION, else "lambdaml-worker". Records go to RECORDS/SEARCH-ID;
/// without the setting `records`, beside the checkpoints or the channel.
///
/// Returns the summary, also that of a search that its budget or deadline ended before it was over;
/// or, when its time is nearly over, `{"state": "running", "search": URI}` after it has called its
/// own function with an event to go on. A search's id is that of the event that began it. Of an
/// event that comes twice one invocation works; the other waits for as long as it may run and
/// answers, when the first has ended, with the same or with "running". Throws as begin() and run().
std::string handle_tuner_event(const faas::Invocation& invocation);

}  // namespace lambdaml::tune
