#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/tune/leg.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/strategy.h"

/// What a search has come to.
namespace lambdaml::tune {

/// A trial with all its legs.
struct TrialView {
  std::uint64_t trial = 0;
  Assignments parameters;
  std::string state;            ///< running, stopped (has epochs left), done, failed
  std::uint64_t epoch = 0;      ///< reached
  std::uint64_t epochs = 0;     ///< when nobody stops it
  std::optional<double> value;  ///< of the metric, by the last leg that was done
  double cost_usd = 0;
  double wall_s = 0;
  std::string summary;  ///< of the last leg that was done, JSON
  std::string reason;   ///< failed: why
};

/// One a trial, by number. A trial whose leg is under way is `running`.
std::vector<TrialView> trials_of(const Strategy& strategy, std::span<const Leg> legs);

/// The trial with the best value; of equal ones that of the lower number. Null when none has one.
const TrialView* best_of(const Search& search, std::span<const TrialView> trials);

/// A header and a row a trial: number, state, what was searched, epochs, metrics, cost, time,
/// reason.
std::string trials_csv(const Search& search, std::span<const TrialView> trials);

/// The job of the best trial, for `lambdaml train`: what was given, and the trial's values.
std::string best_yaml(const Search& search, const TrialView& best);

/// One JSON object: the metrics and facts of the best trial's job, its `options` (what was
/// searched), and all `trials`.
std::string summary_json(const Search& search, std::span<const TrialView> trials, double wall_s,
                         const std::string& ended_by);

}  // namespace lambdaml::tune
