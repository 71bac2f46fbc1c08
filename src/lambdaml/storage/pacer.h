#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace lambdaml::storage {

/// When to poll for a key that somebody else will write, where a store can only be polled.
///
/// Polls that come too early cost a request each, polls that come too late cost time. What workers
/// wait for comes again and again after about the same time: round after round, in the same folder
/// (the key up to its last `/`). So a wait first polls when the last ones in that folder ended, and
/// then after pauses that grow by half, from `shortest_s` up to `longest_s`; in a wait that lasts
/// much longer, after a share of the time that it has lasted.
///
/// What a folder teaches: a wait whose first poll finds the key may have polled too late, and makes
/// the next one poll earlier by a quarter; a wait that polled in vain puts the next first poll
/// between its last poll in vain and the one that found it. Thread-safe.
class Pacer {
 public:
  struct Tuning {
    double shortest_s = 0.0001;
    double longest_s = 0.02;
    /// The longest time that a wait lets pass before its first poll.
    double latest_first_poll_s = 0.1;
    /// Whether the first poll comes at once, without regard to what the folder taught: for stores
    /// whose polls cost next to nothing.
    bool poll_at_once = true;
    /// Pauses grow beyond longest_s to this share of the time waited so far, up to long_wait_s.
    double long_wait_share = 0;
    double long_wait_s = 0;
  };
  /// For stores whose polls are billed or take milliseconds: less than 40 in the first minute of a
  /// wait, 10 in each later one.
  static const Tuning kExpensivePolling;

  Pacer() = default;
  explicit Pacer(Tuning tuning) : tuning_(tuning) {}

  /// The polls of one wait.
  class Wait {
   public:
    /// Seconds from the beginning of the wait to the next poll.
    double next_poll_s() const { return next_s_; }
    /// The poll at `now_s` (seconds since the wait began) was in vain.
    void in_vain(double now_s);
    /// The poll at `now_s` found everything: teaches the folder.
    void found(double now_s);

   private:
    friend class Pacer;
    Wait(Pacer& pacer, std::string folder, double first_s);
    Pacer& pacer_;
    std::string folder_;
    double next_s_;
    double pause_s_;
    double first_s_;
    double last_in_vain_s_ = -1;
  };

  /// A wait for keys of which `key` is one. The Pacer must outlive it.
  Wait wait_for(std::string_view key);

 private:
  double expected(const std::string& folder);
  void learn(const std::string& folder, double seconds);

  Tuning tuning_;
  std::mutex mutex_;
  std::map<std::string, double, std::less<>> expected_s_;
};

inline constexpr Pacer::Tuning Pacer::kExpensivePolling = {.shortest_s = 0.002,
                                                           .longest_s = 0.05,
                                                           .latest_first_poll_s = 0.1,
                                                           .poll_at_once = false,
                                                           .long_wait_share = 0.3,
                                                           .long_wait_s = 6};

}  // namespace lambdaml::storage
