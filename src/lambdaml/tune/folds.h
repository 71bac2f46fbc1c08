#pragma once

#include <map>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::tune {

/// The means of the metrics that the summaries of a trial's jobs have; none of a model that this
/// build lacks. At least one summary.
std::map<std::string, double> mean_metrics(std::span<const nlohmann::ordered_json> summaries);

/// The summary of a trial of several jobs, each of which has held out another part of the rows: the
/// first one's, with the means of the models' metrics, the sums of costs, requests' bytes and
/// times, and the most epochs; `fold_values` has each job's metrics, by name: none of a model that
/// this build lacks, whose metrics stay those of the first job. `ended_by` is `until` only if all
/// ended so. At least one summary.
nlohmann::ordered_json mean_of_folds(std::span<const nlohmann::ordered_json> summaries);

}  // namespace lambdaml::tune
