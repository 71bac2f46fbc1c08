#pragma once

#include <vector>

#include "lambdaml/base/options.h"

namespace lambdaml::job {

/// Every option of a job, declared once: the job's own, and those of the registered formats,
/// patterns, optimizers, models and platforms. (A store's stand in its URI.)
Options job_options();

/// Those of them that are the job's own.
std::vector<Option> own_options();

/// Those that a run may be resumed with another value of: circumstances, but not where its data,
/// checkpoints and results lie.
Options options_of_resuming();

}  // namespace lambdaml::job
