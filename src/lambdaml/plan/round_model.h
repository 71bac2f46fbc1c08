#pragma once

#include <cstdint>

#include "lambdaml/sim/profile.h"

/// What a bulk-synchronous round takes, without running it: the planner's estimate for candidates
/// by the hundred. The simulator, whose rounds are those of the real code, is what it is tested
/// against.
namespace lambdaml::plan {

struct Round {
  std::uint32_t workers = 1;
  std::uint32_t aggregators = 1;  ///< at most `workers`
  double bytes = 0;               ///< of one worker's message
};

/// PUTs and GETs of a round without polls in vain: C·P and 2·C·(P − 1), for C aggregators.
struct RoundRequests {
  double puts = 0, gets = 0;
};
RoundRequests requests_of(const Round& round);

struct RoundEstimate {
  double seconds = 0;   ///< from the end of one round to the end of the next, computing left out
  double median_s = 0;  ///< the same without the rare slow ones
  double puts = 0, gets = 0, removes = 0;  ///< requests, with polls in vain
  double drawn = 0, drawn_s = 0;  ///< how many rounds were drawn, and what they took together
  double later_s = 0;             ///< of each that follows

  /// The same for another number of rounds, which must not be below `drawn`.
  RoundEstimate of(double rounds) const;
};

/// How many rounds estimate_round() draws for a job of `rounds`. Above that number all estimates
/// are the same except for RoundEstimate::of().
double rounds_drawn(const Round& round, double rounds, double requests = 20'000);

/// The mean of so many rounds that follow each other: with their number, credits for bursts of
/// networks are used up. A round has four steps (contributions are saved,
/// loaded by their aggregators, merged results are saved, and loaded by all); in each, requests are
/// batched, admitted, moved and polled for as workers do it, with latencies drawn from the profile.
/// It runs no pattern, fibers or stores: about 100 ns for each of some `requests`, of two rounds at
/// least; the later half of them stands for what follows. Vectors are not cut into pieces. The same
/// input gives the same estimate.
RoundEstimate estimate_round(const Round& round, const sim::StoreProfile& store,
                             const sim::FunctionProfile& functions, double memory_mb, double rounds,
                             double requests = 20'000);

}  // namespace lambdaml::plan
