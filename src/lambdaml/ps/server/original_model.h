#pragma once

#include <cstdint>
#include <memory>

#include "lambdaml/ps/server/moved_vector.h"
#include "lambdaml/ps/server/running_vector.h"
#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// A registered model, and the original system's calls on it: workers pull it and push their
/// updates in turns; `n` counts a worker's turns.
class OriginalModel {
 public:
  OriginalModel(Shared& shared, MovedVector& vector, RunningVector& running)
      : shared_(shared), vector_(vector), running_(running) {}

  /// Under the lock. Repeating the call with the same length, workers and rule does nothing; with
  /// others it throws already_exists.
  void declare(std::uint64_t length, std::uint32_t workers, const Rule& rule, bool zeros);
  /// Under the lock.
  bool is_declared() const { return is_declared_; }
  void set_declared(bool declared) { is_declared_ = declared; }

  bool can_pull(std::int64_t n, std::int64_t worker) const;
  bool can_push(std::int64_t n, std::int64_t worker) const;
  std::shared_ptr<const Result> pull(std::int64_t n, std::int64_t worker);
  /// Overwrites `doubles`.
  void push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker);

 private:
  Shared& shared_;
  MovedVector& vector_;
  RunningVector& running_;
  bool is_declared_ = false;
};

}  // namespace lambdaml::ps
