#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/sim/profile.h"

namespace lambdaml::plan {

struct Round {
  std::uint32_t workers = 1;
  std::uint32_t aggregators = 1;  ///< at most `workers`
  double bytes = 0;               ///< of one worker's vector
};

/// Rounds of the real pattern in a simulation, by workers that do nothing else.
struct SimulatedRounds {
  std::vector<double> seconds;  ///< of each round's slowest worker
  std::uint64_t puts = 0, gets = 0;
  bool equal = true;  ///< all workers had the right sum
};

/// Merges a vector of round.bytes (at least 4, counted byte_scale times) `rounds` times by the
/// pattern reduce with that many aggregators.
SimulatedRounds simulate_rounds(const Round& round, const sim::Profile& profile,
                                const std::string& store, double memory_mb, std::uint64_t rounds,
                                std::uint64_t seed, double byte_scale = 1);

}  // namespace lambdaml::plan
