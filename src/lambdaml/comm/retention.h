#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/storage/storage.h"

namespace lambdaml::comm {

/// What this worker left in the store and when it may go. Removal happens in bulk, on a thread of
/// its own, so no round waits for it.
///
/// Why nothing is removed too early:
///  - A contribution to round r is needed until the merged result of r is there. Whoever has read
///  the merged
///    result knows that it is, so a worker drops its own contributions to r then (`spent`).
///  - A merged result of round r is needed by a worker that starts again from a checkpoint at or
///  before r. A
///    worker contributes to a round ≥ c only after it has saved its checkpoint at c. So when round
///    c or a later one is complete, every worker has a checkpoint at c or later, and results of
///    rounds before c are needed by nobody (`merged`, `retire`, `completed`).
/// Both hold for workers that run twice at once, because every one of them obeys them; the one that
/// comes second takes the merged results.
class Retention {
 public:
  explicit Retention(std::shared_ptr<storage::Storage> store);
  ~Retention();

  /// A contribution of this worker that nobody needs any more.
  void spent(std::string key, std::uint64_t bytes);
  /// A merged result of `round` that this worker has saved.
  void merged(std::uint64_t round, std::string key, std::uint64_t bytes);
  /// This worker has a checkpoint at `round`.
  void retire(std::uint64_t round);
  /// Round `round` is complete.
  void completed(std::uint64_t round);

  std::uint64_t retained_bytes() const { return merged_bytes_; }

 private:
  struct Merged {
    std::uint64_t round;
    std::string key;
    std::uint64_t bytes;
  };
  void remove(std::vector<std::string> keys);
  void serve();

  std::shared_ptr<storage::Storage> store_;
  std::vector<std::string> spent_;
  std::uint64_t spent_bytes_ = 0;
  std::deque<Merged> merged_;
  std::uint64_t merged_bytes_ = 0;
  std::uint64_t checkpoint_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> doomed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lambdaml::comm
