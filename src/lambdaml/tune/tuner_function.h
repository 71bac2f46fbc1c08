#pragma once

#include <string>

#include "lambdaml/faas/runtime.h"

namespace lambdaml::tune {

/// The function handler `tuner`. It takes a job file with its section `tune` as one JSON object and
/// begins that search, or `{"search": URI}` and continues the search with records at that URI. The
/// platform and the workers' function are chosen as by handle_trigger_event(). Records go to
/// RECORDS/SEARCH-ID, where RECORDS is the setting `records`, else the job's `checkpoint`, else
/// CHANNEL/searches.
///
/// Returns the summary, also if the search's budget or deadline ended it early; or, when its time
/// is nearly over, `{"state": "running", "search": URI}` after it has invoked its own function with
/// an event to continue. After request_stop() it returns `{"state": "stopped", …}`, as do retries
/// and invocations that were to continue: only a new event `{"search": URI}` lifts the stop. A
/// search's id is that of the event that began it. If an event is delivered twice, one invocation
/// works; the other waits as long as it may run and answers, when the first has ended, with the
/// same or with "running". Throws what begin() and run() throw.
std::string handle_tuner_event(const faas::Invocation& invocation);

}  // namespace lambdaml::tune
