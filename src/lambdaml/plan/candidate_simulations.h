#pragma once

#include <span>
#include <string>
#include <vector>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/candidate_estimator.h"
#include "lambdaml/plan/question.h"
#include "lambdaml/plan/ranking.h"
#include "lambdaml/plan/way_facts.h"

namespace lambdaml::plan {

/// Simulates the best of the estimated candidates, until `question.simulated` were or
/// `question.patience_s` are over, and sorts `all`: what is best then has been simulated, if time
/// allowed. The simulated ones have the seconds, dollars and requests of their simulations; those
/// that train the same model have its epochs. Those that cannot run (invalid_argument,
/// resource_exhausted, deadline_exceeded) are left out, and with one that misses the goal all that
/// train the same model. Returns the ways of which none is left so. Throws what else simulate()
/// throws, and invalid_argument if none is left at all.
std::vector<std::string> simulate_best(const Question& question, std::span<const WayFacts> facts,
                                       const CandidateEstimator& estimator, const Ranking& ranking,
                                       std::vector<Candidate>& all);

}  // namespace lambdaml::plan
