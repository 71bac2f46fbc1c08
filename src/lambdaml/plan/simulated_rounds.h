#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/plan/round_model.h"
#include "lambdaml/sim/profile.h"

namespace lambdaml::plan {

/// Rounds of the real pattern in a simulation, by workers that do nothing else.
struct SimulatedRounds {
  std::vector<double> seconds;  ///< from the end of the round before to the last worker's end
  std::uint64_t puts = 0, gets = 0;
  bool equal = true;  ///< all workers had the right sum
};

/// Merges a vector of round.bytes (at least 4, counted byte_scale times) `rounds` times by the
/// pattern reduce with that many aggregators.
SimulatedRounds simulate_rounds(const Round& round, const sim::Profile& profile,
                                const std::string& store, double memory_mb, std::uint64_t rounds,
                                std::uint64_t seed, double byte_scale = 1);

}  // namespace lambdaml::plan
