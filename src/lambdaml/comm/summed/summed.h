#pragma once

#include <map>
#include <optional>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/storage/aggregator.h"

namespace lambdaml::comm::summed {

/// Merges through a store that sums vectors itself (storage::Aggregator), such as a parameter
/// server: one request per merge, no merging worker, and no garbage to collect.
///
/// *Bulk-synchronous*: the store keeps each round's sum until all workers have retired it, so a
/// worker that runs again receives the sums of rounds that the others have merged, whatever it
/// contributes. *Asynchronous*: increments move a vector in the store; a merge contributes this
/// worker's increment and returns the difference to what this worker received before. These
/// differences telescope. The vector and the received copy are both float32, so rounding errors do
/// not accumulate. If a worker runs again and repeats rounds, its first contributions count. If the
/// store has lost the vector (a resumed job, a server without a disk), which a new generation
/// shows, each worker contributes everything that it ever contributed, and waits until the others
/// have done so too. A worker that has finished also does that before it waits for the others to
/// finish.
class Summed final : public Communicator {
 public:
  /// `bulk_synchronous`: every merge waits for all workers.
  Summed(Membership membership, bool bulk_synchronous);

  void retire(std::uint64_t round) override;
  std::vector<double> snapshot() const override;
  void restore(std::span<const double> snapshot) override;

 private:
  using Sizes = std::pair<std::size_t, std::size_t>;  ///< doubles, floats
  /// For the increments of one pair of sizes: what this worker has contributed and received.
  struct Stream {
    std::uint64_t generation = 0;
    std::vector<double> own_totals, given_totals;  ///< the last one counts contributions
    std::vector<float> own_values, given_values;
  };

  std::size_t merge_round(std::uint64_t round, Vectors v, Meaning meaning) override;
  std::size_t finish_rounds(Vectors v, Meaning meaning) override;
  enum class Contributes { contribution, nothing, end };
  std::size_t merge_increments(Vectors v, Contributes contributes);
  std::size_t merge_states(std::uint64_t round, Vectors v);
  void rejoin_sums();
  storage::SumAnswer ask(storage::SumRequest request, Vectors v);

  const bool bulk_synchronous_;
  std::optional<std::uint32_t> staleness_;  ///< merges that a worker may be ahead; nullopt: any
  std::uint64_t retired_ = 0;
  std::map<Sizes, Stream> streams_;
  bool restored_ = false;
};

}  // namespace lambdaml::comm::summed
