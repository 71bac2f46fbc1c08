#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/ranking.h"

/// How a plan would change if something were otherwise than it assumes.
namespace lambdaml::plan {

/// What might be otherwise.
struct Circumstances {
  double compute = 1, rounds = 1;    ///< take so many times as long
  double Epochs::*epochs = nullptr;  ///< the goal takes these of the pilots; null: the median
};

/// The candidate as it would be then; `meets_limits` and `is_on_front` stay as they are.
Candidate in_circumstances(const Candidate& candidate, const sim::Profile& profile,
                           const Circumstances& circumstances);

/// Which candidate would be the best if something were otherwise.
struct Change {
  std::string when;  ///< "a row took twice as long"
  std::size_t best = 0;
};

/// The circumstances in which another candidate than the first one is the best. `all` are sorted by
/// the ranking; one at least.
std::vector<Change> changes_of(const std::vector<Candidate>& all, const sim::Profile& profile,
                               const Ranking& ranking);

}  // namespace lambdaml::plan
