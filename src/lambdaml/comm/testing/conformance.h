#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/types.h>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/testing/patterns.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/testing/faults.h"

/// Helpers for the tests of patterns: workers with contributions that are known in advance, run as
/// threads or as processes.
namespace lambdaml::comm {

/// The patterns' options with these values.
Options options_with(const std::map<std::string, std::string>& values);

/// The contribution of worker `w` to round `r`: numbers of very different magnitude, so that a sum
/// in another order has different bits.
struct Numbers {
  std::vector<float> values;
  std::vector<double> totals;

  Vectors view() { return {values, totals}; }
  /// Adds numbers of the same sizes.
  Numbers& operator+=(const Numbers& other);
  /// Compares bitwise: −0 differs from 0, and a NaN equals itself.
  bool same_bits(const Numbers& other) const;
};
constexpr std::size_t kTotals = 3;
Numbers contribution(std::uint64_t round, std::uint32_t worker, std::size_t n);
/// The sum of all contributions to a round, added in worker order.
Numbers ordered_sum(std::uint64_t round, std::uint32_t workers, std::size_t n);

/// A contribution of whole numbers, whose sum is exact in any order: a lost or doubled one shows as
/// a difference.
Numbers whole_contribution(std::uint64_t round, std::uint32_t worker, std::size_t n);
/// The sum of the whole contributions of all workers, of worker w to the rounds [0, rounds[w]).
Numbers whole_sum(const std::vector<std::uint64_t>& rounds, std::size_t n);

/// A job of `workers` workers in its own store, which is cleared at the end.
struct Job {
  std::string pattern = "reduce";
  std::uint32_t workers = 4;
  std::size_t n = 10;
  std::string uri;  ///< of the store
  double patience_s = 60;
  std::uint64_t id = 4711;
  std::map<std::string, std::string> options = {};  ///< of the pattern
  bool cuts_large_chunks = true;
  /// Wraps each worker's store; may be empty.
  std::function<std::shared_ptr<storage::Storage>(std::shared_ptr<storage::Storage>,
                                                  std::uint32_t worker)>
      decorate = {};

  std::unique_ptr<Communicator> communicator(std::uint32_t worker) const;
  /// Merges the rounds [from, to) as this worker; throws internal if a result differs bitwise from
  /// the ordered sum. `after_round` receives the next round.
  void merge_rounds(Communicator& communicator, std::uint64_t from, std::uint64_t to,
                    const std::function<void(std::uint64_t)>& after_round = {}) const;
  /// Merges its whole contributions to the rounds [0, rounds[worker]) as this worker and finishes;
  /// throws internal unless it has then received each contribution of all workers exactly once.
  void merge_without_waiting(std::uint32_t worker, const std::vector<std::uint64_t>& rounds) const;
};

/// A worker that adds up all increments that it receives, as an optimizer does with its model.
struct SummingWorker {
  SummingWorker(const Job& job, std::uint32_t worker);

  /// Merges the increment, or the whole contribution to a round; returns how many contributions it
  /// received.
  std::size_t contribute(Numbers increment);
  std::size_t contribute(std::uint64_t round);
  void finish();
  /// Continues with a new communicator restored from the old one's snapshot, as another process
  /// does after a checkpoint.
  void restart();

  Job job;
  std::unique_ptr<Communicator> communicator;
  Numbers sum;
  std::size_t contributions = 0;  ///< that it has received
};

std::string memory_place();
/// A folder in shared memory that the destructor removes.
class FolderPlace {
 public:
  FolderPlace();
  ~FolderPlace();
  const std::string& uri() const { return path_; }

 private:
  std::string path_;
};

/// Runs body(worker) on one thread each. Returns what each threw, as text ("" for nothing).
std::vector<std::string> on_threads(std::uint32_t workers,
                                    const std::function<void(std::uint32_t)>& body);
/// Starts a process that runs `body`; it exits with 0, or with 1 after an exception, which it
/// prints to stderr.
pid_t start_process(const std::function<void()>& body);
/// Waits for the process to end; returns its wait status, 0 for success.
int end_of(pid_t process);

/// Sleeps before each call for a pseudo-random time of up to `most_s` that depends on the seed.
storage::FaultHook random_delays(std::uint64_t seed, double most_s);

}  // namespace lambdaml::comm
