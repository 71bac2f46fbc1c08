#pragma once

#include <filesystem>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/worker_stats.h"

namespace lambdaml::job {

/// The results of a job whose workers have all ended.
struct JobEnd {
  const Options& options;
  const std::string& job_id;
  const data::Manifest& data;
  std::span<const std::string> reports;  ///< each worker's final report, JSON
  /// Those of the functions that read the data for this job, if there were any: the statistics of
  /// WorkerStats are used.
  std::span<const std::string> preparing = {};
  cost::UsageByStore trigger_usage;  ///< requests that the trigger itself made
  double wall_s = 0;
  std::filesystem::path model_path;
};

/// The dollars for a function that ran so: its time and invocations, at the memory that it says, or
/// that of `options`.
double dollars_of_function(const WorkerStats& stats, const Options& options,
                           const cost::Prices& prices, const std::string& region);

/// The job's results as one JSON object, for summary.json and `train --json`. Losses and accuracies
/// are over the rows of all workers, times are means over the workers, and requests, bytes and
/// dollars are sums, of the functions that read the data too. Throws data_corrupt for an invalid
/// report.
nlohmann::ordered_json summary_of(const JobEnd& end);

}  // namespace lambdaml::job
