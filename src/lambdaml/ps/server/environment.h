#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

/// What all parts of the server share: how much memory there is, and what is counted.
namespace lambdaml::ps {

/// Counters since the start; read by the metrics.
struct Stats {
  std::atomic<std::uint64_t> pushes{0}, repeated_pushes{0}, pulls{0}, refused{0};
  std::atomic<std::uint64_t> bytes_received{0}, bytes_sent{0};
  std::atomic<std::uint64_t> wait_ns{0}, waits{0}, waits_in_vain{0};
  std::atomic<std::uint64_t> update_ns{0}, updates{0};
  std::atomic<std::uint64_t> snapshots{0}, snapshot_bytes{0};
  std::atomic<std::uint64_t> wrong_tokens{0}, dropped{0};
  std::atomic<std::int64_t> connections{0};
};

/// Bytes that vectors and values take, against a limit: those that are kept, those of requests that
/// are still arriving, and those of answers. Thread-safe.
class Budget {
 public:
  explicit Budget(std::uint64_t limit) : limit_(limit) {}
  std::uint64_t used() const { return used_; }
  std::uint64_t limit() const { return limit_; }

  /// What to do where there is not enough: it returns after some bytes may have come back, or false
  /// when none will, and is called again for some seconds. To be set before other threads use the
  /// budget.
  void set_make_room(std::function<bool()> make_room) { make_room_ = std::move(make_room); }

  /// Throws resource_exhausted.
  void take(std::uint64_t bytes) {
    constexpr double kPatience_s = 3;
    if (has_taken(bytes)) return;
    const Deadline patience = Deadline::in(kPatience_s);
    while (bytes <= limit_ && make_room_ && !patience.passed() && make_room_())
      if (has_taken(bytes)) return;
    fail(Code::resource_exhausted,
         "the server's memory limit of {} is reached: give it more (--memory-mb), or let jobs "
         "save checkpoints more often",
         human_bytes(limit_));
  }
  void give_back(std::uint64_t bytes) { used_ -= bytes; }

 private:
  bool has_taken(std::uint64_t bytes) {
    std::uint64_t used = used_;
    while (bytes <= limit_ && used <= limit_ - bytes)
      if (used_.compare_exchange_weak(used, used + bytes)) return true;
    return false;
  }

  const std::uint64_t limit_;
  std::function<bool()> make_room_;
  std::atomic<std::uint64_t> used_{0};
};

/// A part of a budget for as long as this lives.
class Charge {
 public:
  Charge() = default;
  Charge(Budget& budget, std::uint64_t bytes) : budget_(&budget), bytes_(bytes) {
    budget.take(bytes);
  }
  Charge(Charge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    Charge taken(std::move(other));
    std::swap(budget_, taken.budget_);
    std::swap(bytes_, taken.bytes_);
    return *this;
  }
  ~Charge() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }

  std::uint64_t bytes() const { return bytes_; }
  /// Takes the difference, or gives it back. When there is not so much it throws and is as before.
  void resize(Budget& budget, std::uint64_t bytes) {
    if (bytes > bytes_)
      budget.take(bytes - bytes_);
    else
      budget.give_back(bytes_ - bytes);
    budget_ = &budget;
    bytes_ = bytes;
  }

 private:
  Budget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

struct Environment {
  Budget budget;
  /// Floats of the longest vector.
  std::uint64_t longest = std::numeric_limits<std::uint32_t>::max();
  Stats stats = {};
};

}  // namespace lambdaml::ps
