#pragma once

#include <map>
#include <optional>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/storage/aggregator.h"

namespace lambdaml::comm::summed {

/// Merges by a store that adds up itself (storage::Aggregator), a parameter server: one request a
/// merge, no merging worker, and nothing to collect.
///
/// *Waiting for all*: the store keeps each round's sum until all workers have retired it, so a
/// worker that runs again is given the sums of rounds that the others have merged, whatever it
/// brings. *Waiting for nobody*: increments move a vector in the store; a merge brings its own and
/// gives the difference to what this worker was given before. Those differences telescope; the
/// vector is float32, and so is what was given, so that no rounding adds up. A worker that runs
/// again and repeats rounds counts with what it brought the first time. When the store has lost the
/// vector (a job that is resumed, a server without a disk), which it tells by another generation,
/// each worker brings all that it ever brought, and waits until the others have. A worker that has
/// come to its end brings its part too before it waits for the others' ends.
class Summed final : public Communicator {
 public:
  /// `bulk_synchronous`: every merge waits for all.
  Summed(Membership membership, bool bulk_synchronous);

  void retire(std::uint64_t round) override;
  std::vector<double> snapshot() const override;
  void restore(std::span<const double> snapshot) override;

 private:
  using Sizes = std::pair<std::size_t, std::size_t>;  ///< doubles, floats
  /// Of the increments of one pair of sizes: what this worker has brought, and was given.
  struct Stream {
    std::uint64_t generation = 0;
    std::vector<double> own_totals, given_totals;  ///< the last one counts contributions
    std::vector<float> own_values, given_values;
  };

  std::size_t merge_round(std::uint64_t round, Vectors v, Meaning meaning) override;
  std::size_t finish_rounds(Vectors v, Meaning meaning) override;
  enum class Brings { contribution, nothing, end };
  std::size_t merge_increments(Vectors v, Brings brings);
  std::size_t merge_states(std::uint64_t round, Vectors v);
  void bring_again();
  storage::SumAnswer ask(storage::SumRequest request, Vectors v);

  const bool bulk_synchronous_;
  std::optional<std::uint32_t> staleness_;  ///< merges that a worker may be ahead; absent: any
  std::uint64_t retired_ = 0;
  std::map<Sizes, Stream> streams_;
  bool restored_ = false;
};

}  // namespace lambdaml::comm::summed
