#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace lambdaml::storage {

/// When to look for a key that somebody else will write, where a store can only be polled.
///
/// Looks that come too early cost a request each, looks that come too late cost time. What workers
/// wait for comes again and again after about the same time: round after round, in the same folder
/// (the key up to its last `/`). So a wait first looks when the last ones in that folder ended, and
/// then after pauses that grow by half, from `shortest_s` up to `longest_s`.
///
/// What a folder teaches: a wait whose first look finds the key may have looked too late, and makes
/// the next one look earlier by a quarter; a wait that looked in vain puts the next first look
/// between its last look in vain and the one that found it. Thread-safe.
class Pacer {
 public:
  struct Tuning {
    double shortest_s = 0.0001;
    double longest_s = 0.02;
    /// The longest time that a wait lets pass before its first look.
    double latest_first_look_s = 0.1;
    /// Whether the first look comes at once, without regard to what the folder taught: for stores
    /// whose looks cost next to nothing.
    bool look_at_once = true;
  };

  Pacer() = default;
  explicit Pacer(Tuning tuning) : tuning_(tuning) {}

  /// The looks of one wait.
  class Wait {
   public:
    /// Seconds from the beginning of the wait to the next look.
    double next_look_s() const { return next_s_; }
    /// The look at `now_s` (seconds since the wait began) was in vain.
    void in_vain(double now_s);
    /// The look at `now_s` found everything: teaches the folder.
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

}  // namespace lambdaml::storage
