#pragma once

#include <cstdint>
#include <string>

namespace lambdaml::trigger {

struct BenchCommOptions {
  std::string channel;
  std::string sync_mode = "reduce";
  std::uint32_t workers = 4;
  std::uint64_t bytes = 232;  ///< of the vector: 4 for each float, rounded up
  std::uint64_t rounds = 100;
};

/// The time of single requests on the channel, one at a time with no other load, through the same
/// client library; the floor of a round is computed from them.
struct RequestTimes {
  double put_s = 0;        ///< p50 of saving a message of the vector's size under a new key
  double get_s = 0;        ///< p50 of loading it
  double bytes_per_s = 0;  ///< of a large value, saved and loaded
};

/// Seconds are those of the slowest worker in each round; the first round, in which the workers
/// start up, is left out if there are more.
struct BenchCommResult {
  double median_s = 0, min_s = 0, max_s = 0;
  double requests = 0;  ///< per round, all workers, removals not counted
  double bytes = 0;     ///< per round, all workers, sent and received
  double cost_usd = 0;  ///< of the requests of a round, at the prices of cost.h
  bool bitwise_equal = false;
  RequestTimes request;
  /// The lower bound of a round: its four sequential requests, 2 · put_s + 2 · get_s, plus the
  /// remaining bytes over the bandwidth. 0 for one worker.
  double floor_s = 0;
};

/// The caller's side: starts the workers and collects their measurements. Throws what train()
/// throws.
BenchCommResult bench_comm(const BenchCommOptions& options);

}  // namespace lambdaml::trigger
