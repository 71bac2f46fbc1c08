#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/tune/leg.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/strategy.h"

/// The results of a search.
namespace lambdaml::tune {

/// A trial with all its legs.
struct TrialView {
  std::uint64_t trial = 0;
  Assignments parameters;
  std::string state;            ///< running, stopped (has epochs left), done, failed
  std::uint64_t epoch = 0;      ///< reached
  std::uint64_t epochs = 0;     ///< unless it is stopped early
  std::optional<double> value;  ///< of the metric, after the last leg that was done
  double cost_usd = 0;
  double wall_s = 0;
  std::string summary;  ///< of the last leg that was done, JSON
  std::string reason;   ///< failed: why
};

/// One per trial, by number. A trial with a leg in progress is `running`.
std::vector<TrialView> trials_of(const Strategy& strategy, std::span<const Leg> legs);

/// The trial with the best value, the lower number among equal ones. Null if none has a value.
const TrialView* best_of(const Search& search, std::span<const TrialView> trials);

/// A header and a row per trial: number, state, searched options, epochs, metrics, cost, time,
/// reason.
std::string trials_csv(const Search& search, std::span<const TrialView> trials);

/// A job file of the best trial for `lambdaml train`: the given options, and the trial's values.
std::string best_yaml(const Search& search, const TrialView& best);

/// One JSON object: the metrics and facts of the best trial's job, its `options` (the searched
/// ones), and all `trials`.
std::string summary_json(const Search& search, std::span<const TrialView> trials, double wall_s,
                         const std::string& ended_by);

}  // namespace lambdaml::tune
