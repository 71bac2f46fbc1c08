#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::comm {

/// What one worker hands to a merge and what it gets back in the same place.
struct Vectors {
  std::span<float> values;   ///< parameters-sized: gradients, updates, cluster sums
  std::span<double> totals;  ///< a few exact numbers that travel along: loss sums, row counts
};

/// How contributions of different rounds relate; only a pattern that does not wait can tell them
/// apart. An optimizer says what its vector means and never asks which pattern runs.
enum class Meaning {
  increment,  ///< contributions add up over rounds (a gradient, an update): each must be applied
              ///< once
  state,      ///< a contribution replaces the worker's previous one (cluster sums, ADMM's x + u)
};

/// The options of all registered patterns, each once, at their defaults.
Options pattern_options();

/// Everything a pattern needs to know of its surroundings.
struct Membership {
  std::shared_ptr<storage::Storage> store;  ///< the job's own: keys carry no job name
  std::uint64_t job = 0;                    ///< a number that every message carries
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  double patience_s = 300;                ///< the longest wait for others within a round
  Deadline deadline = Deadline::never();  ///< of this function
  Options options = pattern_options();    ///< each pattern reads those that it declares
  bool cuts_large_chunks = true;          ///< false: for measurements
  bool meets_alone = false;  ///< a single worker goes through the store too: for measurements
};

/// Merges vectors over all workers of a job, through a store. Used by one thread.
///
/// Workers call the same merges in the same order with the same sizes. The round counter is kept
/// here, and every merge takes one round. Messages are checked (job, round, sender, sizes,
/// checksum): one that does not fit throws data_corrupt, never gives a wrong sum. A worker that
/// runs again from a checkpoint, or twice at the same time, writes the same bytes to the same keys;
/// it joins the others where they wait.
///
/// With the option compress, increments travel in fewer bytes and the merged result differs from
/// the sum, in the same way on all workers. What a worker's message could not carry is added to its
/// next increment (error feedback: Seide et al. 2014; Karimireddy et al. 2019). States travel
/// whole.
class Communicator {
 public:
  explicit Communicator(Membership membership);
  virtual ~Communicator() = default;

  std::uint32_t worker() const { return membership_.worker; }
  std::uint32_t workers() const { return membership_.workers; }

  /// Replaces the vectors by the sum over workers, in worker order, and returns how many
  /// contributions it is the sum of. With one worker nothing is stored.
  /// `reduce`, `reduce_scatter`: waits for all and returns P; the result is bitwise equal on
  /// all workers, over every store, on every run and for both patterns.
  /// `async`: waits for nobody. `increment`: the sum of all contributions, of any round, that this
  /// worker has not been given before, its own included; two rounds of one worker count two, and
  /// what a worker takes back because it runs again from a checkpoint counts nothing. `state`: the
  /// sum of the newest of each worker that has one. Throws deadline_exceeded naming the workers
  /// that are missing, data_corrupt, what the store throws. After an error the vectors hold
  /// anything.
  std::size_t merge(Vectors vectors, Meaning meaning);

  /// Called once by every worker after its last merge, with vectors of the sizes and the meaning of
  /// those that make the model.
  /// `increment`: the vectors' numbers do not count. `async` waits until all others have finished
  /// too and gives what this worker has not yet seen, so that in the end every worker has every
  /// contribution exactly once. The others: nothing to do, leaves zeros, returns 0.
  /// `state`: the sum of the last ones of all, this one among them; `async` waits until all others
  /// have finished too, the others as in merge().
  std::size_t finish(Vectors vectors, Meaning meaning = Meaning::increment);

  /// Rounds merged so far, by any attempt.
  std::uint64_t round() const { return round_; }
  /// Continues after a checkpoint taken at `round`.
  void seek(std::uint64_t round) { round_ = round; }
  /// To be called when others may have gone on without this worker (a second attempt): results of
  /// rounds that are already merged are taken instead of contributed to.
  void catch_up() { catching_up_ = true; }

  /// Says that this worker will never go back before `round`, because it has a checkpoint there. To
  /// be called by all workers for the same rounds, after the checkpoint is saved and before the
  /// merge of that round. Messages of earlier rounds are removed in bulk once all workers are known
  /// to be past them, off the critical path.
  virtual void retire(std::uint64_t round);

  /// Bytes of merged results that stay in the store for workers that may have to catch up; the same
  /// on all workers at the same round.
  virtual std::uint64_t retained_bytes() const { return 0; }

  /// Waits within merges end at `deadline`, whatever the patience. From now on.
  void wait_until(Deadline deadline) { membership_.deadline = deadline; }

  /// What a checkpoint must hold besides the round: the async pattern's sums. Restoring in a new
  /// process and going on gives what going on here would have.
  virtual std::vector<double> snapshot() const { return {}; }
  virtual void restore(std::span<const double> snapshot);
  /// What compression has held back so far and adds to the next increment; belongs to a checkpoint
  /// too. Empty when nothing was.
  virtual std::span<const float> residual() const { return {}; }
  virtual void restore_residual(std::span<const float> residual);

  /// Seconds spent in merges so far, waits included. Requests and bytes: see storage::with_meter.
  double seconds() const { return seconds_; }

 protected:
  virtual std::size_t merge_round(std::uint64_t round, Vectors vectors, Meaning meaning) = 0;
  /// finish() among several. This one is that of a pattern in which all wait for all.
  virtual std::size_t finish_rounds(Vectors vectors, Meaning meaning);

  const Membership& membership() const { return membership_; }
  storage::Storage& store() const { return *membership_.store; }
  bool catching_up() const { return catching_up_; }
  void caught_up() { catching_up_ = false; }
  /// The earlier of the function's deadline and patience from now.
  Deadline wait_deadline() const;
  /// Throws deadline_exceeded: "ROUND: no word from workers 2, 3 within 300 s".
  [[noreturn]] void fail_silent(const std::string& round,
                                const std::vector<std::uint32_t>& silent) const;

 private:
  bool meets_nobody() const { return workers() == 1 && !membership_.meets_alone; }

  Membership membership_;
  std::uint64_t round_ = 0;
  bool catching_up_ = false;
  double seconds_ = 0;
};

}  // namespace lambdaml::comm
