#pragma once

#include "lambdaml/base/options.h"

namespace lambdaml::job {

/// Every option of a job, declared once: the job's own, then those of the registered models and
/// optimizers.
Options job_options();

/// Those that a run may be resumed with another value of: circumstances, but not where its data,
/// checkpoints and results lie.
Options options_of_resuming();

}  // namespace lambdaml::job
