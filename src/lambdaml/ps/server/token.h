#pragma once

#include <algorithm>
#include <mutex>
#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::ps {

/// The server's token. After several wrong guesses within a minute, each check takes half a second,
/// even of a correct token: otherwise the duration would tell them apart. With at most
/// Peers::kMostUnknown connections at a time and one guess per connection, that allows 512 guesses
/// a second, and a client that knows the token can still connect. Thread-safe.
class Token {
 public:
  explicit Token(std::string secret) : secret_(std::move(secret)) {}

  bool is_wanted() const { return !secret_.empty(); }

  bool is(const std::string& guess) {
    constexpr double kPause_s = 0.5;
    if (!is_wanted()) return true;
    if (is_guessed_at()) pause_for(kPause_s);
    if (equals(guess)) return true;
    const std::lock_guard lock(mutex_);
    wrong_ = std::min(wrong_ + 1, kSlips);
    last_wrong_ = Stopwatch();
    return false;
  }

 private:
  static constexpr int kSlips = 5;

  bool is_guessed_at() {
    constexpr double kMemory_s = 60;
    const std::lock_guard lock(mutex_);
    if (last_wrong_.seconds() > kMemory_s) wrong_ = 0;
    return wrong_ >= kSlips;
  }

  /// Compares in a time that does not reveal how much is right.
  bool equals(const std::string& guess) const {
    unsigned difference = guess.size() == secret_.size() ? 0 : 1;
    for (std::size_t i = 0; i < secret_.size(); ++i)
      difference |= static_cast<unsigned char>(i < guess.size() ? guess[i] : 0) ^
                    static_cast<unsigned char>(secret_[i]);
    return difference == 0;
  }

  const std::string secret_;
  std::mutex mutex_;
  int wrong_ = 0;
  Stopwatch last_wrong_;
};

}  // namespace lambdaml::ps
