#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/plan/candidate.h"
#include "lambdaml/plan/candidate_estimator.h"
#include "lambdaml/plan/question.h"
#include "lambdaml/plan/way_facts.h"

/// Which candidates a plan considers: by each way that reaches the job's goal, over each channel,
/// with 1, 2, 4 … workers, the job's memory and that of half a processor, one and two, and 1, 4,
/// 16 … aggregators.
namespace lambdaml::plan {

struct Considered {
  std::vector<Candidate> candidates;  ///< estimated, in no order
  std::size_t number = 0;             ///< with those that another one beats in any case
  std::vector<std::string> missed;    ///< ways by which no number of workers reaches the goal
};

/// `facts` are those of the question's ways, the first one of which is possible. Estimates in
/// several threads. Throws invalid_argument if nothing reaches the goal.
Considered considered_for(const Question& question, const JobAsItIs& job,
                          std::span<const WayFacts> facts, const CandidateEstimator& estimator);

}  // namespace lambdaml::plan
