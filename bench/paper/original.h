#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/sim/profile.h"

/// How the original system (Jiang et al., SIGMOD 2021; its functions for S3 of January 2020, which
/// the paper measured) merges a vector: a fixture that only the simulator knows, for its tables.
namespace lambdaml::paper {

enum class Protocol {
  /// Each worker saves its vector. Worker 0 lists the bucket until it has found all, loads and
  /// removes one after another, saves the sum, and lists and removes the sum of the round before;
  /// the others ask for the sum each 0.1 s.
  reduce,
  /// Each worker saves P − 1 chunks one after another, lists the bucket until it has found those of
  /// its own chunk, loads and removes each, saves their sum, and lists and loads the sums of the
  /// others. Of networks, worker 0 then removes the sums of the round before, one after another.
  reduce_scatter,
};

/// A vector of each of the workers, as a job of the original has it.
struct Merge {
  std::uint32_t workers = 1;
  double bytes = 0;  ///< of a vector
  /// By `reduce`, linear models save their weights and their bias as two values, networks all of
  /// their parameters as one.
  bool is_network = false;
};

struct OriginalRound {
  double seconds = 0;  ///< from the last worker's end of a round to that of the next
  double puts = 0, gets = 0, lists = 0, removes = 0;
  bool equal = true;  ///< all workers had the right sum
};

/// The mean of some rounds in a simulation; vectors are small ones that count as `merge.bytes`.
OriginalRound original_round(Protocol protocol, const Merge& merge, const sim::Profile& profile,
                             const std::string& store, double memory_mb);

}  // namespace lambdaml::paper
