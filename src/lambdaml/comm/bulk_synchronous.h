#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/fibers/waiting_mutex.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/packing.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::comm {

/// What the patterns in which every merge waits for all workers have in common: waiting, and when a
/// message may be removed.
///
/// A worker may die at any storage call and run again from its last checkpoint, at round c, while
/// the others wait in a later round r. What the second attempt needs must still be there:
///
/// 1. *Merged results of the rounds from c on.* The second attempt takes them instead of
///    contributing, up to the first one that is absent. They are kept until every worker has a
///    checkpoint at a later round c'. This needs no extra messages: workers retire(c') before they
///    contribute to round c', and round c' cannot be complete without the contributions of all. So
///    a worker that has completed a round ≥ c' knows that no worker will go back before c', and
///    removes what it merged before.
/// 2. *Contributions to the first round without a merged result*, if the dead worker is the one
///    that merges. A worker removes its contribution to a round only after it has seen all the
///    merged results of that round, so while one of them is absent all contributions are there.
/// 3. *The same bytes.* An attempt computes from a checkpoint what the first one computed, bit by
///    bit, and the sum is taken in worker order. So it does not matter which attempt wrote a
///    message, or whether two run at the same time.
///
/// There is one trap in 2: of two attempts that run at the same time, the slower may wait for
/// contributions that were already removed because all workers took the faster one's merged result.
/// So a wait for contributions also checks from time to time whether the merged result exists, and
/// takes it.
///
/// A store that is not durable may lose messages when its server restarts. Each worker keeps the
/// messages that others may still need: its contributions to the current round, and the results
/// that it merged in this round and the one before. While it waits, it checks from time to time
/// whether they exist and restores (`create`) missing ones.
///
/// *Steps.* In merge_and_step() the merged result is not the sum but what its aggregator made of
/// it, and with it a state that only the aggregator has. A second attempt of the aggregator needs
/// the sums of all rounds since its checkpoint to bring that state up to date. So the aggregator
/// saves them for itself, while it waits for the others. It publishes nothing of the next round of
/// steps before that is done, and workers keep their contributions until they have seen all of the
/// next round's results. Thus of each round since the checkpoint there is the sum, or else all
/// contributions.
///
/// *Compression.* A contribution is first reduced to what its message can carry, from the values
/// and the residual of earlier rounds, so every attempt writes the same bytes. The sum is rounded
/// (bf16 and int8: to bf16) without feedback, because the aggregator may change; top k is summed
/// exactly.
///
/// Messages that an attempt did not manage to remove before it died stay until the job's keys are
/// cleared: at most the contributions to one round, and the merged results of one checkpoint
/// interval.
///
/// Used by one thread, except for encode_sum() and keep().
class BulkSynchronous : public Communicator {
 public:
  explicit BulkSynchronous(Membership membership);

  void retire(std::uint64_t round) override;
  std::uint64_t retained_bytes() const override;
  std::span<const float> residual() const override { return residual_; }
  void restore_residual(std::span<const float> residual) override {
    residual_.assign(residual.begin(), residual.end());
  }

 protected:
  /// merge_round() of vectors whose values the messages can carry without loss.
  virtual std::size_t sum_round(std::uint64_t round, Vectors vectors) = 0;
  /// step_round() of vectors whose values the messages can carry without loss. Only patterns that
  /// have aggregators can.
  virtual std::size_t sum_and_step(std::uint64_t round, Vectors vectors, ChunkStep& step) {
    return Communicator::step_round(round, vectors, step);
  }
  /// How contributions of this round are encoded; `begin` as in Packing.
  Packing contribution(std::size_t begin = 0) const { return {contribution_form_, begin}; }
  /// Encodes a sum as a message. Rounds the builder's values to those that the message carries.
  /// Thread-safe.
  Buffer encode_sum(MessageBuilder& sum, const MessageHead& head, std::size_t begin = 0) const;

  /// A wait for messages of other workers, limited by the patience. While it lasts, restores
  /// messages of this worker that the store has lost.
  storage::Wait wait_for(std::vector<std::string> keys);
  /// Seconds until a wait's first extra check, and the longest pause between checks.
  double first_check_s() const;
  double longest_check_s() const;

  /// The `senders` whose key is absent. One existence check per key.
  std::vector<std::uint32_t> absent(const std::vector<std::string>& keys,
                                    const std::vector<std::uint32_t>& senders);

  enum class Role { contribution, merged };
  /// If the store is not durable, keeps a saved message for as long as others may need it.
  /// Thread-safe.
  void keep(std::uint64_t round, Role role, const std::string& key, Buffer message);

  /// Records a complete round: the keys of this worker's contributions, the merged results that
  /// this worker has to remove, and the bytes of all merged results.
  void completed(std::uint64_t round, std::vector<std::string> contributions,
                 std::vector<std::string> merged, std::uint64_t merged_bytes);
  /// completed() of a round of steps: its contributions stay until the next one is complete.
  void completed_steps(std::uint64_t round, std::vector<std::string> contributions,
                       std::vector<std::string> merged, std::uint64_t merged_bytes);
  /// Until completed_steps(): messages of that round are still needed when others are complete.
  void open_steps(std::uint64_t round) { open_steps_ = round; }
  /// Removes messages that are no longer needed, in bulk. Call where this worker would wait anyway.
  void collect_garbage();
  /// Saves the messages and collects garbage, in one round trip if the store can.
  void save_and_collect_garbage(std::span<const storage::Item> items);

 private:
  struct MergedRound {
    std::uint64_t round;
    std::uint64_t bytes;
    std::vector<std::string> keys;
  };

  struct Published {
    std::uint64_t round;
    Role role;
    std::string key;
    Buffer message;
  };

  void put_back_what_is_lost();
  void save(std::span<const storage::Item> items);
  std::vector<std::string> take_garbage();
  static bool is_harmless_when_removing(const Error& error);
  void collect_no_more(const Error& error);

  std::size_t merge_round(std::uint64_t round, Vectors vectors, Meaning meaning) final;
  std::size_t step_round(std::uint64_t round, Vectors vectors, ChunkStep& step) final;
  void choose_forms(Vectors vectors, Meaning meaning);
  /// Rounds an increment to what its message can carry; keeps the difference in residual_.
  void compress_with_feedback(std::span<float> values);

  const Compression compression_;
  const double kept_share_;  ///< topk: of the values
  Form contribution_form_ = Form::f32;
  Form merged_form_ = Form::f32;
  std::vector<float> residual_;
  bool store_forgets_ = false;
  WaitingMutex published_mutex_;
  std::vector<Published> published_;
  std::vector<std::string> removable_;  ///< contributions to complete rounds
  std::vector<std::string> stepped_;    ///< those to the last round of steps
  std::optional<std::uint64_t> open_steps_;
  bool collects_ = true;  ///< false once the store has refused to remove messages
  std::deque<MergedRound> kept_;
  std::uint64_t retired_ = 0;
  std::uint64_t completed_ = 0;  ///< rounds before this one are complete
};

}  // namespace lambdaml::comm
