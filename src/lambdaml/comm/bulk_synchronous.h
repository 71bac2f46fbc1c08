#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/packing.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::comm {

/// What patterns in which every merge waits for all have in common: waiting, and when a message may
/// go.
///
/// A worker may die at any storage call and run again from its last checkpoint, at round c, while
/// the others wait in a later round r. What the second attempt needs must still be there:
///
/// 1. *Merged results of the rounds from c on.* The second attempt takes them instead of
///    contributing, until the first one that is absent. They are kept until every worker has a
///    checkpoint at a later round c'. Nobody is asked: workers retire(c') before they contribute to
///    round c', and round c' cannot be complete without the contributions of all. So whoever has
///    completed a round ≥ c' knows that nobody will go back before c', and removes what it merged
///    before.
/// 2. *Contributions to the first round without a merged result*, when the dead worker is the one
///    that merges. A worker removes its contribution to a round only after it has seen all the
///    merged results of that round, so while one of them is absent all contributions are there.
/// 3. *The same bytes.* An attempt computes from a checkpoint what the first computed, bit by bit,
///    and the sum is taken in worker order. So it does not matter which attempt wrote a message, or
///    whether two run at the same time.
///
/// There is one trap in 2: of two attempts that run at the same time, the slower may wait for
/// contributions that are gone because the faster one's merged result was taken by all. So a wait
/// for contributions asks from time to time whether the merged result exists, and takes it.
///
/// A store that is not durable may lose messages when its server starts again. Each worker keeps
/// the messages that others may still need, its contributions to the round under way and the
/// results it has merged in this round and the one before, and while it waits, it asks from time
/// to time whether they exist and puts back (`create`) what does not.
///
/// *Compression.* A contribution is made representable before anything else happens, from the
/// values and what was held back before, so every attempt writes the same. The sum is rounded (bf16
/// and int8: to bf16) without feedback, for the aggregator may change; top k is summed exactly.
///
/// What an attempt meant to remove when it died stays until the job's keys are cleared: at most the
/// contributions to one round, and the merged results of one checkpoint interval.
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
  /// merge_round() of vectors that messages can carry in the forms below.
  virtual std::size_t sum_round(std::uint64_t round, Vectors vectors) = 0;
  /// How contributions of this round are written; `begin` as in Packing.
  Packing contribution(std::size_t begin = 0) const { return {contribution_form_, begin}; }
  /// The message of a sum. The draft's values become those that it carries. From any thread.
  Buffer seal(Draft& sum, const MessageHead& head, std::size_t begin = 0) const;

  /// A wait for messages of others, at most as long as the patience lasts. While it goes on, puts
  /// back what the store has lost of this worker's messages.
  storage::Wait wait_for(std::vector<std::string> keys);
  /// The seconds after which a wait first does what it does beside waiting, and at most later.
  double first_check_s() const;
  double longest_check_s() const;

  /// Those of `senders` whose key is absent. One existence check a key.
  std::vector<std::uint32_t> absent(const std::vector<std::string>& keys,
                                    const std::vector<std::uint32_t>& senders);

  enum class Role { contribution, merged };
  /// Keeps a message that was saved as long as others may need it, where the store may lose it.
  /// From any thread.
  void keep(std::uint64_t round, Role role, const std::string& key, Buffer message);

  /// Notes a complete round: the keys of this worker's contributions, the merged results that are
  /// this worker's to remove, and the bytes of all merged results.
  void completed(std::uint64_t round, std::vector<std::string> contributions,
                 std::vector<std::string> merged, std::uint64_t merged_bytes);
  /// Removes what may go, in bulk. To be called where this worker would wait anyway.
  void collect_garbage();

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

  std::size_t merge_round(std::uint64_t round, Vectors vectors, Meaning meaning) final;
  /// Brings an increment to what its message will carry; the rest goes to residual_.
  void compress_with_feedback(std::span<float> values);

  const Compression compression_;
  const double kept_share_;  ///< topk: of the values
  Form contribution_form_ = Form::f32;
  Form merged_form_ = Form::f32;
  std::vector<float> residual_;
  bool store_forgets_ = false;
  std::mutex published_mutex_;
  std::vector<Published> published_;
  std::vector<std::string> removable_;  ///< contributions to complete rounds
  std::deque<MergedRound> kept_;
  std::uint64_t retired_ = 0;
  std::uint64_t completed_ = 0;  ///< rounds before this one are complete
};

}  // namespace lambdaml::comm
