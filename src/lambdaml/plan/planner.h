#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/goal_pilots.h"
#include "lambdaml/plan/question.h"
#include "lambdaml/plan/way_facts.h"
#include "lambdaml/plan/what_if.h"

namespace lambdaml::plan {

/// The same job on one machine by the hour.
struct OnHost {
  std::string name;
  double seconds = 0, usd = 0;
};

struct Plan {
  std::vector<ResolvedWay> ways;      ///< one at least
  std::optional<PilotReport> pilots;  ///< none were run
  std::vector<std::string> missed;    ///< ways by which no number of workers reached the goal
  std::size_t considered = 0;         ///< with those that another one beats in any case
  std::vector<Candidate> candidates;  ///< the best first
  std::optional<std::size_t> best;    ///< none if no candidate meets the limits
  std::vector<Change> changes;
  std::vector<OnHost> hosts;
};

/// Short simulations (of one and two epochs, by two and four workers) tell how many rounds and
/// bytes the job has by each way to train, and one per channel what it takes beside them. Ways are
/// compared by the epochs that the job's goal takes (goal_pilots.h). The rounds of all candidates
/// are estimated (round_model.h), in several threads; the best ones are then simulated, as far as
/// `question.patience_s` allows; of those that cannot run (invalid_argument, resource_exhausted,
/// deadline_exceeded) none is left, and of those that miss the goal none with the same way and
/// workers. Where nothing costs anything, the fastest is the best. Throws what else simulate()
/// throws, and invalid_argument for patterns whose workers do not wait for each other, for channels
/// that the profile does not have, and if nothing reaches the goal.
Plan plan(const Question& question);

/// The job as its options say, over the first of the channels, without a simulation of all of it.
/// Throws as plan() does.
Candidate estimate_as_it_is(const Question& question);

}  // namespace lambdaml::plan
