#pragma once

#include <cstdint>
#include <memory>

#include "lambdaml/ps/server/moved_vector.h"
#include "lambdaml/ps/server/running_vector.h"
#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// A registered model, and the original system's calls on it: workers pull it and push their
/// updates in turns; `n` counts a worker's turns.
///
/// The original's clients name every job's model alike and never delete it: its registration is all
/// that separates two jobs. Worker 0 registers, the others begin when the model exists, which may
/// be that of the previous job. So a registration of a model that was used replaces it. In other
/// clients each worker registers, so a model that its first workers have only pulled is kept: it
/// has the same values, and so has the next job's. Then a pull counts again once its connection
/// asks whether it can push: workers of a job that has died never do.
class OriginalModel {
 public:
  OriginalModel(Shared& shared, MovedVector& vector, RunningVector& running)
      : shared_(shared), vector_(vector), running_(running) {}

  /// Under the lock. Repeating the call with the same length, workers and rule does nothing; with
  /// others it throws already_exists.
  void declare(std::uint64_t length, std::uint32_t workers, const Rule& rule, bool zeros);
  /// Under the lock.
  bool is_declared() const { return is_declared_; }
  /// Under the lock: whether `caller` may register the model without replacing it. If so, pulls
  /// do not count until their connections are heard from.
  bool is_new_for(const std::shared_ptr<const Caller>& caller);
  /// Whether an open connection other than `caller` has pulled it as this worker.
  bool is_pulled_by_another(std::int64_t worker, const std::shared_ptr<const Caller>& caller) const;
  void set_declared(bool declared) { is_declared_ = declared; }

  bool can_pull(std::int64_t n, std::int64_t worker) const;
  bool can_push(std::int64_t n, std::int64_t worker, const std::shared_ptr<const Caller>& caller);
  std::shared_ptr<const Result> pull(std::int64_t n, std::int64_t worker,
                                     const std::shared_ptr<const Caller>& caller);
  /// Overwrites `doubles`. A push of the worker's latest turn is a repetition if it has the same
  /// values, and does not count. Throws already_exists for other values or an earlier turn.
  void push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker);

 private:
  void heard_from(std::int64_t worker, const std::shared_ptr<const Caller>& caller);

  Shared& shared_;
  MovedVector& vector_;
  RunningVector& running_;
  bool is_declared_ = false;
};

}  // namespace lambdaml::ps
