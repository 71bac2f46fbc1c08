#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/tune/search.h"
#include "lambdaml/tune/segment.h"
#include "lambdaml/tune/strategy.h"

/// The results of a search.
namespace lambdaml::tune {

/// A trial with all its segments.
struct TrialView {
  std::uint64_t trial = 0;
  Assignments parameters;
  std::string state;            ///< running, stopped (has epochs left), done, failed
  std::uint64_t epoch = 0;      ///< reached
  std::uint64_t epochs = 0;     ///< unless it is stopped early
  std::optional<double> value;  ///< of the metric, after the last segment that was done
  double cost_usd = 0;
  double killed_usd = 0;  ///< of cost_usd: see Segment
  double wall_s = 0;
  /// Of the last segment that was done; null if none was.
  std::shared_ptr<const nlohmann::ordered_json> summary;
  std::string reason;  ///< failed: why
};

/// The number of that name in a job's summary; NaN if there is none.
double number_in(const nlohmann::ordered_json& summary, const std::string& name);

/// One per trial, by number. A trial with a segment in progress is `running`.
std::vector<TrialView> trials_of(const Strategy& strategy, std::span<const Segment> segments);

/// The trial with the best value, the lower number among equal ones. Null if none has a value.
const TrialView* best_of(const Search& search, std::span<const TrialView> trials);

/// A header and a row per trial: number, state, searched options, epochs, metrics, cost, time,
/// reason.
std::string trials_csv(const Search& search, std::span<const TrialView> trials);

/// A job file of the best trial for `lambdaml train`: the given options, and the trial's values.
std::string best_yaml(const Search& search, const TrialView& best);

/// One JSON object: the metrics and facts of the best trial's job, its `options` (the searched
/// ones), and all `trials`.
nlohmann::ordered_json summary_of(const Search& search, std::span<const TrialView> trials,
                                  double wall_s, const std::string& ended_by);

}  // namespace lambdaml::tune
