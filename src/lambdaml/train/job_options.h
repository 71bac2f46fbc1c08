#pragma once

#include "lambdaml/base/options.h"

namespace lambdaml::train {

/// Every option of a job, declared once: the job's own, then those of the registered models and
/// optimizers.
Options job_options();

}  // namespace lambdaml::train
