#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::comm {

/// A worker's input to a merge, replaced by the result.
struct Vectors {
  std::span<float> values;   ///< parameters-sized: gradients, updates, cluster sums
  std::span<double> totals;  ///< a few exact numbers that travel along: loss sums, row counts
};

/// The values [first, second) of a vector.
using Range = std::pair<std::size_t, std::size_t>;

/// What aggregators make of the sums of their parts of a vector, before the others get them: see
/// Communicator::merge_and_step().
class ChunkStep {
 public:
  virtual ~ChunkStep() = default;

  /// Numbers that depend on the sums of all parts, such as norms: how many.
  virtual std::size_t scalar_count() const { return 0; }
  /// Adds to `scalars` those of the part that begins at `begin`. The same for every cut of the
  /// vector into parts only if they add up exactly.
  virtual void measure(std::size_t begin, std::span<const float> sums, std::span<double> scalars) {
    (void)begin, (void)sums, (void)scalars;
  }
  /// Called once in a round, before the first step, with the scalars of all parts.
  virtual void begin(std::span<const double> scalars) = 0;
  /// Sets `result` to what all workers get for the sums of a part. Called once for each range that
  /// this worker owns, by several threads at once; must give the same bytes whenever a round is
  /// repeated.
  virtual void step(std::size_t begin, std::span<const float> sums, std::span<float> result) = 0;
};

/// How contributions of different rounds relate; this matters only to patterns that do not wait. An
/// optimizer states what its vector means and does not depend on the pattern.
enum class Meaning {
  increment,  ///< contributions add up over rounds (a gradient, an update): each must be applied
              ///< once
  state,      ///< a contribution replaces the worker's previous one (cluster sums, ADMM's x + u)
};

/// The options of all registered patterns, without duplicates, at their defaults.
Options pattern_options();

/// What a pattern needs to know about its job.
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
/// All workers call the same merges in the same order with the same sizes. The communicator counts
/// rounds; every merge is one round. Messages are checked (job, round, sender, sizes, checksum): a
/// message that does not match throws data_corrupt and never gives a wrong sum. A worker that runs
/// again from a checkpoint, or twice at the same time, writes the same bytes to the same keys and
/// joins the others where they wait.
///
/// With the option compress, increments travel in fewer bytes, and the merged result differs from
/// the exact sum in the same way on all workers. What a worker's message could not carry is added
/// to its next increment (error feedback: Seide et al. 2014; Karimireddy et al. 2019). States are
/// not compressed.
class Communicator {
 public:
  explicit Communicator(Membership membership);
  virtual ~Communicator() = default;

  std::uint32_t worker() const { return membership_.worker; }
  std::uint32_t workers() const { return membership_.workers; }

  /// Replaces the vectors by their sum over workers, in worker order, and returns how many
  /// contributions it contains. With one worker nothing is stored.
  /// `reduce`, `reduce_scatter`: waits for all and returns P; the result is bitwise equal on all
  /// workers, over every store, on every run and for both patterns.
  /// `async`: does not wait. `increment`: the sum of all contributions, of any round, that this
  /// worker has not received before, including its own; two rounds of one worker count as two, and
  /// contributions that a worker withdraws because it runs again from a checkpoint count as none.
  /// `state`: the sum of each worker's newest contribution.
  /// Throws deadline_exceeded naming the missing workers, data_corrupt, and what the store throws;
  /// after an error the contents of the vectors are unspecified. docs/explanations/patterns.md
  /// lists requests and bytes.
  std::size_t merge(Vectors vectors, Meaning meaning);

  /// Whether merge_and_step() can be called: the pattern has aggregators among the workers.
  virtual bool can_step() const { return meets_nobody(); }
  /// The ranges of vectors of `size` values that this worker merges; ascending. Those of all
  /// workers cover the vector once.
  virtual std::vector<Range> owned(std::size_t size) const { return {{0, size}}; }
  /// Like merge() of increments, but each aggregator turns the sums of its ranges by `step` into
  /// what all workers receive: in place of summed gradients, say, new parameters. So only it needs
  /// what belongs to its ranges (the state of an optimizer). The totals are summed as in merge().
  /// With scalars it takes two rounds, the second one for them.
  ///
  /// A worker that runs again repeats the steps of its ranges since its checkpoint, from the same
  /// sums: an aggregator also stores them, off the critical path, for itself. What all receive is
  /// never compressed. docs/explanations/patterns.md lists requests and bytes.
  std::size_t merge_and_step(Vectors vectors, ChunkStep& step);

  /// Call once per worker after its last merge, with vectors of the sizes and the meaning of those
  /// that make the model.
  /// `increment`: the input values are ignored. `async` waits until all others have finished too
  /// and returns what this worker has not yet received, so that in the end every worker has every
  /// contribution exactly once. Other patterns set the vectors to zero and return 0.
  /// `state`: the sum of all workers' final states, including this one; `async` waits until all
  /// others have finished too, other patterns behave as in merge().
  /// Throws as merge() does.
  std::size_t finish(Vectors vectors, Meaning meaning = Meaning::increment);

  /// Rounds merged so far, including those of earlier attempts.
  std::uint64_t round() const { return round_; }
  /// Continues after a checkpoint taken at `round`.
  void seek(std::uint64_t round) { round_ = round; }
  /// Call if others may have continued without this worker (a second attempt): rounds that are
  /// already merged are then read instead of contributed to.
  void catch_up() { catching_up_ = true; }

  /// States that this worker will never go back before `round`, because it has a checkpoint there.
  /// All workers must call it for the same rounds, after saving the checkpoint and before the merge
  /// of that round. Messages of earlier rounds are removed in bulk, off the critical path, once all
  /// workers are known to have passed them.
  virtual void retire(std::uint64_t round);

  /// Bytes of merged results that are kept in the store for workers that may have to catch up; the
  /// same on all workers at the same round.
  virtual std::uint64_t retained_bytes() const { return 0; }

  /// From now on, waits within merges end at `deadline`, whatever the patience.
  void wait_until(Deadline deadline) { membership_.deadline = deadline; }

  /// What a checkpoint must hold besides the round: the sums of the async pattern. Restoring them
  /// in a new process and continuing gives the same results as continuing here. restore() throws
  /// data_corrupt for a snapshot of another pattern.
  virtual std::vector<double> snapshot() const { return {}; }
  virtual void restore(std::span<const double> snapshot);
  /// The residual: what compression has not sent yet and adds to the next increment; belongs to a
  /// checkpoint too. Empty if there is none.
  virtual std::span<const float> residual() const { return {}; }
  virtual void restore_residual(std::span<const float> residual);

  /// Seconds spent in merges so far, waits included. Requests and bytes: see storage::with_meter.
  double seconds() const { return seconds_; }
  /// Calls `merged` after each merge(), and after finish(), with the seconds that it took.
  void observe(std::function<void(double)> merged) { merged_ = std::move(merged); }

 protected:
  virtual std::size_t merge_round(std::uint64_t round, Vectors vectors, Meaning meaning) = 0;
  /// merge_and_step() among several; takes the scalars in round + 1.
  virtual std::size_t step_round(std::uint64_t round, Vectors vectors, ChunkStep& step);
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
  /// The key of a message of a merge of these vectors. Where a store spreads keys over servers,
  /// small messages are kept on one of them (of each job another one): a request to each of several
  /// would cost more than it spreads.
  std::string placed(std::string key, std::size_t bytes) const;
  bool meets_nobody() const { return workers() == 1 && !membership_.meets_alone; }

 private:
  void count(double seconds) {
    seconds_ += seconds;
    if (merged_) merged_(seconds);
  }

  Membership membership_;
  std::string place_;  ///< in names of messages that are kept together; empty: no store asks for it
  std::uint64_t round_ = 0;
  bool catching_up_ = false;
  double seconds_ = 0;
  std::function<void(double)> merged_;
};

}  // namespace lambdaml::comm
