#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lambdaml/plan/goal_pilots.h"
#include "lambdaml/plan/simulated_job.h"

namespace lambdaml::plan {

/// One way to run the job.
struct Candidate {
  std::string channel;
  std::int64_t aggregators = 1, workers = 1, memory_mb = 0;
  std::size_t way = 0;  ///< of Plan::ways
  /// Those that all rows took, if one with the same way and workers was simulated; otherwise, where
  /// there were pilots, of their repetitions.
  Epochs epochs = {};
  Epochs pilot_epochs = {};     ///< the same without simulations
  double seconds = 0, usd = 0;  ///< expected; of simulations, the median
  /// Of the simulations; without, by the epochs, and equal if these are certain.
  double seconds_p10 = 0, seconds_p90 = 0;
  double usd_p10 = 0, usd_p90 = 0;
  double servers_usd = 0;  ///< of `usd`: servers by the hour, which no job's bill has
  double estimated_s = 0, estimated_usd = 0;  ///< of `epochs`, without the simulations' times
  double epoch_usd = 0;                       ///< requests and their bytes of an epoch's rounds
  double rounds = 0, requests = 0;
  bool is_simulated = false;
  bool is_on_front = false;  ///< no other is both faster and cheaper
  bool meets_limits = true;
  double start_s = 0, compute_s = 0, rounds_s = 0;  ///< what the estimate is made of
};

/// Whether they train the same model, whatever their channels, memory and aggregators are.
bool train_the_same(const Candidate& a, const Candidate& b);

/// What all its functions together, and the servers of its channel, cost for `s` seconds.
double usd_of_seconds(const Candidate& candidate, const sim::FunctionProfile& functions,
                      const sim::StoreProfile& channel, double s);

/// Simulates a job, not resolved, with the candidate's workers, memory and aggregators, in a world
/// that has its channel. Throws as simulate() does.
SimulatedRun simulate_candidate(Options job, const Candidate& candidate,
                                const SimulatedWorld& world, std::uint64_t seed);

}  // namespace lambdaml::plan
