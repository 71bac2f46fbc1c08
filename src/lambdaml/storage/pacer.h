#pragma once

#include <cstddef>
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
///
/// Where a poll costs less than the time of the functions that wait (kQuickPolling), waiting too
/// long is worse than polling too early: polls follow each other at once, ask for all keys
/// together, and the next wait begins to poll after a quarter of the time that this one took.
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
    /// Polls cost less than waiting; see above.
    bool is_quick = false;
  };
  /// For stores whose polls are billed or take milliseconds: fewer than 40 in the first minute of a
  /// wait, 10 in each later one.
  static const Tuning kExpensivePolling;
  /// For those of them whose polls cost less than what a function does while it waits for one: a
  /// GET of S3 Express One Zone is 1 ms of a function with 1.8 GB. Fewer than 100 polls in the
  /// first minute of a wait, 10 in each later one.
  static const Tuning kQuickPolling;
  /// As a store's Capabilities say.
  static const Tuning& tuning(bool polling_is_expensive, bool polling_is_quick);

  Pacer() = default;
  explicit Pacer(Tuning tuning) : tuning_(tuning) {}

  /// The polls of one wait. Used by one thread.
  class Wait {
   public:
    /// Seconds from the beginning of the wait to the next poll.
    double next_poll_s() const { return next_s_; }
    /// For how many keys that poll should ask.
    std::size_t poll_size() const { return pacer_.tuning_.is_quick ? most_at_once_ : 1; }
    /// After a request for `asked` keys, of `size` that were to be asked for: how many of the next
    /// ones should be asked for at once, if all were there. Absent keys of a batch are billed too,
    /// so batches start small, grow while all are there and shrink otherwise.
    std::size_t size_after(std::size_t size, std::size_t asked, bool all_there);
    /// The poll at `now_s` (seconds since the wait began) did not find everything.
    void in_vain(double now_s);
    /// The poll at `now_s` found everything: updates what is known of the folder.
    void found(double now_s);

   private:
    friend class Pacer;
    Wait(Pacer& pacer, std::string folder, double first_s, std::size_t most_at_once);
    Pacer& pacer_;
    std::string folder_;
    double next_s_;
    double pause_s_;
    double first_s_;
    double last_in_vain_s_ = -1;
    std::size_t most_at_once_, at_once_;
  };

  /// Begins a wait for keys in the folder of `key`, of which up to `most_at_once` may be asked for
  /// together. The Pacer must outlive it.
  Wait wait_for(std::string_view key, std::size_t most_at_once = 1);

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
inline constexpr Pacer::Tuning Pacer::kQuickPolling = {.shortest_s = 0,
                                                       .longest_s = 0,
                                                       .latest_first_poll_s = 0.1,
                                                       .poll_at_once = false,
                                                       .long_wait_share = 0.1,
                                                       .long_wait_s = 6,
                                                       .is_quick = true};

}  // namespace lambdaml::storage
