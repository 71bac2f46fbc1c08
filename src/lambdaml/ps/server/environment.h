#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

/// What all parts of the server share: the memory budget and the counters.
namespace lambdaml::ps {

/// Counters since the start, shown as metrics.
struct Stats {
  std::atomic<std::uint64_t> pushes{0}, repeated_pushes{0}, pulls{0}, refused{0};
  std::atomic<std::uint64_t> bytes_received{0}, bytes_sent{0};
  std::atomic<std::uint64_t> wait_ns{0}, waits{0}, waits_in_vain{0};
  std::atomic<std::uint64_t> update_ns{0}, updates{0};
  std::atomic<std::uint64_t> snapshots{0}, snapshot_bytes{0};
  std::atomic<std::uint64_t> wrong_tokens{0}, dropped{0};
  std::atomic<std::int64_t> connections{0};
};

/// Bytes used by vectors and values against a limit: stored ones, requests still arriving, and
/// answers. Thread-safe.
class Budget {
 public:
  explicit Budget(std::uint64_t limit) : limit_(limit) {}
  std::uint64_t used() const { return used_; }
  std::uint64_t limit() const { return limit_; }

  /// Called repeatedly, for some seconds, when there is not enough memory: it returns true when
  /// some may have been freed, and false if none will be. Set it before other threads use the
  /// budget.
  void set_make_room(std::function<bool()> make_room) { make_room_ = std::move(make_room); }

  /// Throws resource_exhausted; then nothing was taken.
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

/// A part of a budget, returned by the destructor.
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
  /// Takes or returns the difference. If there is not enough it throws and is unchanged.
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
  /// The limit of a vector, in floats.
  std::uint64_t longest = std::numeric_limits<std::uint32_t>::max();
  Stats stats = {};
};

}  // namespace lambdaml::ps
