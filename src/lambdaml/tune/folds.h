#pragma once

#include <span>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::tune {

/// The summary of a trial of several jobs, each of which has held out another part of the rows: the
/// first one's, with the means of the models' metrics, the sums of costs, requests' bytes and
/// times, and the most epochs. `ended_by` is `until` only if all ended so. At least one summary.
nlohmann::ordered_json mean_of_folds(std::span<const nlohmann::ordered_json> summaries);

}  // namespace lambdaml::tune
