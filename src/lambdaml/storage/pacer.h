#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace lambdaml::storage {

/// When to poll for a key that another worker will write, if the store can only be polled.
///
/// Polling too early costs a request each time; polling too late costs time. Workers wait
/// repeatedly for about the same time: round after round, in the same folder (the key up to its
/// last `/`). So a wait first polls when earlier waits in that folder ended, then after pauses that
/// grow by half, from `shortest_s` up to `longest_s`; in a wait that lasts much longer, after a
/// share of the elapsed time.
///
/// Learning: a wait whose first poll finds the key may have polled too late, so the next first poll
/// is a quarter earlier; otherwise the next first poll lies between this wait's last unsuccessful
/// poll and the successful one. Thread-safe.
class Pacer {
 public:
  struct Tuning {
    double shortest_s = 0.0001;
    double longest_s = 0.02;
    /// The latest time of a wait's first poll.
    double latest_first_poll_s = 0.1;
    /// Whether to poll at once, regardless of what was learned: for stores with very cheap polls.
    bool poll_at_once = true;
    /// In long waits, pauses grow beyond longest_s to this share of the elapsed time, up to
    /// long_wait_s.
    double long_wait_share = 0;
    double long_wait_s = 0;
  };
  /// For stores whose polls are billed or take milliseconds: fewer than 40 in the first minute of a
  /// wait, 10 in each later one.
  static const Tuning kExpensivePolling;

  Pacer() = default;
  explicit Pacer(Tuning tuning) : tuning_(tuning) {}

  /// The polls of one wait. Used by one thread.
  class Wait {
   public:
    /// Seconds from the beginning of the wait to the next poll.
    double next_poll_s() const { return next_s_; }
    /// The poll at `now_s` (seconds since the wait began) did not find everything.
    void in_vain(double now_s);
    /// The poll at `now_s` found everything: updates what is known of the folder.
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

  /// Begins a wait for keys in the folder of `key`. The Pacer must outlive it.
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
