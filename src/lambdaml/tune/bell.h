#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace lambdaml::tune {

/// Wakes the thread that waits for one of several events: any thread rings, one waits.
class Bell {
 public:
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      ringing_ = true;
    }
    rung_.notify_one();
  }
  /// Returns when the bell has rung since the last wait, or after so many seconds.
  void wait(double seconds) {
    std::unique_lock lock(mutex_);
    rung_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return ringing_; });
    ringing_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable rung_;
  bool ringing_ = false;
};

}  // namespace lambdaml::tune
