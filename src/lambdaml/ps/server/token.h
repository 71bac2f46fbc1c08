#pragma once

#include <algorithm>
#include <mutex>
#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::ps {

/// The server's token. Once there were several wrong guesses within a minute, each look at a guess
/// takes half a second, a right one too: else the wrong ones would be those that take long. With at
/// most Peers::kMostUnknown connections at a time and one guess a connection that makes 512 guesses
/// a second, and a client that knows the token is let in. Thread-safe.
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

  /// In a time that does not tell how much of it is right.
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
