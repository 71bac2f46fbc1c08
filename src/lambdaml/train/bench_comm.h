#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/faas/runtime.h"
#include "lambdaml/train/event.h"

namespace lambdaml::train {

/// The worker's side of `bench comm`: merges a known vector `rounds` times and returns, JSON, the
/// seconds of each round, the requests and bytes, and whether every sum was right bit by bit.
std::string measure_rounds(const BenchCommEvent& event, const faas::Invocation& invocation);

struct BenchCommOptions {
  std::string channel;
  std::string sync_mode = "reduce";
  std::uint32_t workers = 4;
  std::uint64_t bytes = 232;  ///< of the vector: 4 for each float, rounded up
  std::uint64_t rounds = 100;
};

/// Seconds are of the slowest worker in each round; the first round, in which the workers find each
/// other, is left out when there are more.
struct BenchCommResult {
  double median_s = 0, min_s = 0, max_s = 0;
  double requests = 0;  ///< per round, all workers
  double bytes = 0;     ///< per round, all workers, sent and received
  bool bitwise_equal = false;
};

/// The caller's side. Throws what train() throws.
BenchCommResult bench_comm(const BenchCommOptions& options);

}  // namespace lambdaml::train
