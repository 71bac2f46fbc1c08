#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/dashboard/board.h"
#include "lambdaml/dashboard/watched.h"

namespace lambdaml::dashboard {

/// Keeps the rows of one place on the board up to date while somebody looks, in a thread of its
/// own: a store that does not answer holds up no other place.
class Watcher {
 public:
  Watcher(std::string where, Board& board);
  ~Watcher();
  Watcher(const Watcher&) = delete;

  /// Reads at once: somebody looks again. Returns the number for wait_for(). Thread-safe.
  std::uint64_t wake();
  /// Waits until everything was read after that wake(). Thread-safe.
  void wait_for(std::uint64_t number, Deadline end);

 private:
  struct Row {
    std::unique_ptr<Watched> watched;
    std::string id;  ///< empty until it was read
  };

  void run();
  void find();
  void poll();

  const std::string where_;
  Board& board_;
  const Stopwatch clock_;
  std::map<Place, Row> rows_;
  bool is_remote_ = false;
  double next_find_s_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false, is_polling_ = false;
  std::uint64_t polls_ = 0;
  Cancellation cancellation_;
  std::thread thread_;
};

}  // namespace lambdaml::dashboard
