#pragma once

#include "lambdaml/ps/server/entry.h"

namespace lambdaml::ps {

/// While one lives, its thread adds up or moves the vector out of the lock, and no snapshot is
/// taken. It locks again in the end, also when the work throws. For .cc files of the entry.
class Entry::Moving {
 public:
  /// Waits for the end of a snapshot; throws what wait() throws.
  Moving(Entry& entry, Lock& lock) : entry_(entry), lock_(lock) {
    entry_.wait(lock_, Deadline::never(), [this] { return !entry_.frozen_; });
    ++entry_.moving_;
    lock_.unlock();
  }
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;
  ~Moving() {
    lock_.lock();
    --entry_.moving_;
    if (entry_.frozen_) entry_.changed_.notify_all();
  }

 private:
  Entry& entry_;
  Lock& lock_;
};

/// A snapshot is being taken, under the lock: nobody moves the vector.
class Entry::Freeze {
 public:
  Freeze(Entry& entry, Lock& lock) : entry_(entry) {
    entry_.frozen_ = true;
    entry_.changed_.wait(lock, [this] { return entry_.moving_ == 0; });
  }
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;
  ~Freeze() {
    entry_.frozen_ = false;
    entry_.changed_.notify_all();
  }

 private:
  Entry& entry_;
};

}  // namespace lambdaml::ps
