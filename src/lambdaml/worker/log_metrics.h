#pragma once

#include "lambdaml/job/event.h"
#include "lambdaml/job/metrics.h"

namespace lambdaml::worker {

/// Prints an epoch's metrics as a line from which the log service of the worker's platform makes
/// metrics, under the name in LAMBDAML_METRICS_NAMESPACE; without that variable, nothing. `seconds`
/// is how long the epoch took, and the value `dollars` what all functions of the job cost in it.
/// Throws nothing.
void log_metrics(const job::TrainEvent& event, const job::EpochMetrics& metrics,
                 double seconds) noexcept;

}  // namespace lambdaml::worker
