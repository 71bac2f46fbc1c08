#pragma once

#include <vector>

#include "lambdaml/base/options.h"

namespace lambdaml::job {

/// Every option of a job, declared once: the job's own, and those of the registered formats,
/// patterns, optimizers, models and platforms. (A store's options are part of its URI.)
Options job_options();

/// The options that belong to the job itself.
std::vector<Option> own_options();

/// The options that may be changed when a run is resumed: execution-only ones, except the places of
/// its data, checkpoints and results, and those that count the epochs of some optimizer.
Options options_of_resuming();

}  // namespace lambdaml::job
