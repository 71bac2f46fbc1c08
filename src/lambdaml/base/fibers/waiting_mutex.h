#pragma once

#include <mutex>

#include "lambdaml/base/fibers/scheduler.h"

namespace lambdaml {

/// A mutex that may be held over waits and calls of a store: where a std::mutex would block the
/// thread of all fibers, only the fiber that wants it waits.
class WaitingMutex {
 public:
  void lock() {
    Scheduler* const scheduler = current_scheduler();
    if (scheduler == nullptr) return mutex_.lock();
    while (held_) scheduler->wait_for(this, false);
    held_ = true;
  }
  void unlock() {
    Scheduler* const scheduler = current_scheduler();
    if (scheduler == nullptr) return mutex_.unlock();
    held_ = false;
    scheduler->notify(this);
  }

 private:
  std::mutex mutex_;
  bool held_ = false;  ///< by a fiber
};

}  // namespace lambdaml
