#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>

#include "lambdaml/base/deadline.h"

namespace lambdaml {

/// The token that a server's clients must know. After several wrong guesses within a minute, the
/// server should delay each check by pause_s(), even of a correct token: otherwise the duration
/// would tell them apart. A server that checks one token per connection and limits the connections
/// thereby limits the guesses, and a client that knows the token can still connect. Thread-safe.
class Token {
 public:
  /// Empty: none is wanted.
  explicit Token(std::string secret) : secret_(std::move(secret)) {}

  bool is_wanted() const { return !secret_.empty(); }

  /// Seconds by which the next check is to be delayed: usually 0.
  double pause_s() {
    constexpr double kMemory_s = 60, kPause_s = 0.5;
    const std::lock_guard lock(mutex_);
    if (last_wrong_.seconds() > kMemory_s) wrong_ = 0;
    return wrong_ >= kSlips ? kPause_s : 0;
  }

  /// Whether `guess` is the token, or none is wanted.
  bool is(std::string_view guess) {
    if (!is_wanted() || are_equal(guess, secret_)) return true;
    const std::lock_guard lock(mutex_);
    wrong_ = std::min(wrong_ + 1, kSlips);
    last_wrong_ = Stopwatch();
    return false;
  }

  /// Compares in a time that does not reveal how much of the guess is right.
  static bool are_equal(std::string_view guess, std::string_view secret) {
    unsigned difference = guess.size() == secret.size() ? 0 : 1;
    for (std::size_t i = 0; i < secret.size(); ++i)
      difference |= static_cast<unsigned char>(i < guess.size() ? guess[i] : 0) ^
                    static_cast<unsigned char>(secret[i]);
    return difference == 0;
  }

 private:
  static constexpr int kSlips = 5;

  const std::string secret_;
  std::mutex mutex_;
  int wrong_ = 0;
  Stopwatch last_wrong_;
};

}  // namespace lambdaml
