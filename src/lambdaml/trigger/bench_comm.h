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

/// What single requests cost on the channel, one in flight and nobody else there, by the same
/// client library: the floor of a round is made of them.
struct RequestTimes {
  double put_s = 0;        ///< p50 of saving a message of the vector's size under a new key
  double get_s = 0;        ///< p50 of loading it
  double bytes_per_s = 0;  ///< there and back, of a large value
};

/// Seconds are of the slowest worker in each round; the first round, in which the workers find each
/// other, is left out when there are more.
struct BenchCommResult {
  double median_s = 0, min_s = 0, max_s = 0;
  double requests = 0;  ///< per round, all workers, removals not counted
  double bytes = 0;     ///< per round, all workers, sent and received
  double cost_usd = 0;  ///< of the requests of a round, at the prices of cost.h
  bool bitwise_equal = false;
  RequestTimes request;
  /// The four requests that follow each other in a round, 2 · put_s + 2 · get_s, and the bytes that
  /// these four do not move, over the bandwidth. 0 for one worker.
  double floor_s = 0;
};

/// The caller's side. Throws what train() throws.
BenchCommResult bench_comm(const BenchCommOptions& options);

}  // namespace lambdaml::trigger
