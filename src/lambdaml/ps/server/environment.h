#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

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
  std::atomic<std::int64_t> connections{0};
};

/// Bytes that vectors and values take, against a limit.
class Budget {
 public:
  explicit Budget(std::uint64_t limit) : limit_(limit) {}
  std::uint64_t used() const { return used_; }
  std::uint64_t limit() const { return limit_; }
  /// Throws resource_exhausted.
  void take(std::uint64_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= limit_) return;
    used_ -= bytes;
    fail(Code::resource_exhausted,
         "the server's memory limit of {} is reached: give it more (--memory-mb), or let jobs "
         "save checkpoints more often",
         human_bytes(limit_));
  }
  void give_back(std::uint64_t bytes) { used_ -= bytes; }

 private:
  const std::uint64_t limit_;
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
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }

 private:
  Budget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

struct Environment {
  Budget budget;
  Stats stats;
  bool accept_nan = false;
};

}  // namespace lambdaml::ps
