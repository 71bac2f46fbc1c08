#include "lambdaml/worker/log_metrics.h"

#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "lambdaml/aws/embedded_metrics.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/environment.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/job/worker_stats.h"

namespace lambdaml::worker {

void log_metrics(const job::TrainEvent& event, const job::EpochMetrics& metrics,
                 double seconds) noexcept {
  try {
    const std::optional<std::string> name_space =
        environment_variable("LAMBDAML_METRICS_NAMESPACE");
    if (!name_space) return;
    aws::EmbeddedMetrics line{
        .name_space = *name_space,
        .at_ms = epoch_ms(),
        .dimensions = {{"model", event.options.text("model")}},
        .properties = {{"job_id", event.job_id}, {"epoch", std::to_string(metrics.epoch)}},
        .values = metrics.values};
    line.values["epoch_s"] = seconds;
    if (const std::optional<int> memory_mb = faas::own_memory_mb())
      line.values["dollars"] =
          job::running_cost(event.options, *memory_mb, job::own_architecture()).per_second *
          seconds;
    std::puts(aws::line_of(line).c_str());
    std::fflush(stdout);
  } catch (const std::exception& error) {
    log::warning("the epoch's metrics are not in the log: {}", error.what());
  }
}

}  // namespace lambdaml::worker
