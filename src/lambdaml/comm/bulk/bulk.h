#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/comm/bulk/chunks.h"
#include "lambdaml/comm/bulk_synchronous.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/message.h"

namespace lambdaml::comm::bulk {

/// The patterns `reduce` and `reduce_scatter`: see bulk.cc, and steps.cc for merge_and_step().
class Bulk final : public BulkSynchronous {
 public:
  Bulk(Membership membership, std::uint32_t aggregators);

  bool can_step() const override { return true; }
  std::vector<Range> owned(std::size_t size) const override;

 private:
  /// A round in progress.
  struct Round {
    std::uint64_t number;
    Vectors v;
    Cut cut;
    std::size_t bytes() const { return v.values.size_bytes() + v.totals.size_bytes(); }
  };

  /// What is to be done with the sums of a round's chunks. The functions may be called by several
  /// threads at once, for different chunks.
  struct Handlers {
    /// The key that exists once another attempt has got as far.
    std::function<std::string(std::uint32_t chunk)> key;
    /// Does what is to be done with a complete sum.
    std::function<void(std::uint32_t chunk, ChunkSum& sum)> use;
    /// The same with what another attempt has saved under the key.
    std::function<void(std::uint32_t chunk, Buffer bytes)> take;
  };

  /// The sum of a chunk that is to be stepped.
  struct Summed {
    std::shared_ptr<ChunkSum> sum;  ///< whose numbers lie in the message, unless it was taken
    Buffer message;
    Message taken;  ///< a view of the message
    std::span<const double> totals() const { return sum ? sum->totals() : taken.totals; }
    std::span<const float> values() const { return sum ? sum->values() : taken.values; }
  };

  std::size_t sum_round(std::uint64_t number, Vectors v) override;
  std::size_t sum_and_step(std::uint64_t number, Vectors v, ChunkStep& step) override;

  Cut cut_of(std::size_t size) const {
    return {size, aggregators_, membership().cuts_large_chunks};
  }
  /// The chunks that this worker merges, or the others.
  std::vector<std::uint32_t> chunks_of(const Round& round, bool own) const;
  /// Saves this worker's contribution to the chunks, if there are any, and collects garbage then.
  void contribute(const Round& round, const std::vector<std::uint32_t>& chunks);
  /// Sums this worker's chunks one after another and does with them what is to be done. What
  /// another attempt has saved of a chunk is loaded instead.
  void merge(const Round& round, const std::vector<std::uint32_t>& chunks,
             const Handlers& handlers);
  /// Merges chunks until the first one that another attempt has merged; returns how many.
  std::size_t merge_from(const Round& round, std::span<const std::uint32_t> chunks,
                         const Handlers& handlers, std::deque<Background>& saves);
  std::shared_ptr<ChunkSum> sum_of(const Round& round, std::uint32_t c) const;
  /// Adds contributions of `senders` to the sum; once it is complete, uses it. With `saves`, a
  /// separate thread does so while this one downloads.
  void add(const Round& round, std::uint32_t c, std::span<const std::uint32_t> senders,
           std::vector<Buffer> contributions, const std::shared_ptr<ChunkSum>& sum, bool last,
           const Handlers& handlers, std::deque<Background>* saves);
  void publish_sum(const Round& round, std::uint32_t c, ChunkSum& sum);
  /// Waits for the merged chunks and copies each as it arrives.
  void take_merged(const Round& round, const std::vector<std::uint32_t>& chunks);
  /// Loads the merged chunks if all exist; changes `v` only in that case.
  bool take_if_all_there(const Round& round);
  void take(const Round& round, std::uint32_t c, const Buffer& bytes) const;
  [[noreturn]] void fail_silent_workers(const Round& round, std::vector<std::uint32_t> silent);

  /// The sums of this worker's chunks. Without scalars, each is stepped and published at once.
  std::vector<Summed> sum_and_keep(const Round& round, const std::vector<std::uint32_t>& own,
                                   ChunkStep& step, bool publishes);
  void step_and_publish(const Round& round, std::uint32_t c, const Summed& summed, ChunkStep& step,
                        bool publishes);
  /// Begins to save sums, for a second attempt of this worker.
  void save_sums(const Round& round, const std::vector<std::uint32_t>& own,
                 std::vector<Summed> sums);
  void finish_saving_sums();
  /// Whether all merged chunks exist.
  bool are_merged(const Round& round);

  MessageHead head(const Round& round, MessageHead::Kind kind, std::uint32_t from,
                   std::uint32_t chunk) const;
  /// A single aggregator with one chunk uses keys without a chunk number.
  bool is_whole(const Round& round) const;
  std::string contribution_name(const Round& round, std::uint32_t from, std::uint32_t c) const;
  std::string merged_name(const Round& round, std::uint32_t c) const;
  std::string sum_name(const Round& round, std::uint32_t c) const;

  const std::uint32_t aggregators_;
  std::vector<std::uint32_t> others_;  ///< all but this worker, once it has merged
  Background saving_sums_;             ///< of the last round of steps; its end waits for it
};

}  // namespace lambdaml::comm::bulk
