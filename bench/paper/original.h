#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/plan/round_model.h"
#include "lambdaml/sim/profile.h"

/// How the original system (Jiang et al., SIGMOD 2021; its communicator for S3) merges a vector: a
/// fixture that only the simulator knows, for its tables.
namespace lambdaml::paper {

enum class Protocol {
  /// Each worker saves its vector. Worker 0 lists the bucket until it has found all, loads one
  /// after another, removes those of each list together, and saves the sum; the others ask for it
  /// each 0.1 s.
  reduce,
  /// Each worker saves P − 1 chunks one after another, lists the bucket until it has found and
  /// loaded those of its own chunk, saves their sum, and lists and loads the sums of the others.
  reduce_scatter,
};

struct OriginalRound {
  double seconds = 0;  ///< until the last worker has the sum; all begin at once
  std::uint64_t puts = 0, gets = 0, lists = 0;
  bool equal = true;  ///< all workers had the right sum
};

/// One round in a simulation; vectors are small ones that count as `round.bytes`. Aggregators are
/// those of the protocol.
OriginalRound original_round(Protocol protocol, const plan::Round& round,
                             const sim::Profile& profile, const std::string& store,
                             double memory_mb);

}  // namespace lambdaml::paper
