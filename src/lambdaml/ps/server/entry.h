#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "lambdaml/ps/server/moved_vector.h"
#include "lambdaml/ps/server/newest_sums.h"
#include "lambdaml/ps/server/original_model.h"
#include "lambdaml/ps/server/round_sums.h"
#include "lambdaml/ps/server/running_vector.h"
#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// Everything that the server keeps under one id: the sums of rounds, a vector that pushes modify,
/// the sum of the newest pushes, and whether the vector is a registered model. Each entry has its
/// own locks. A push is identified by worker and round and counts once, so every call may be
/// repeated, by the same process or by another attempt of the worker. All methods are thread-safe.
class Entry {
 public:
  using Answer = ps::Answer;

  Entry(std::string id, Environment& environment);

  const std::string& id() const { return shared_.id; }
  bool has_model() const;
  std::uint64_t model_length() const;

  /// Makes it a model. Repeating the call with the same length and workers does nothing; with
  /// others, or if sums are kept under this id, it throws already_exists.
  void declare(std::uint64_t length, std::uint32_t workers, const Rule& rule, bool zeros);

  /// Counts the push and waits for what the kind requires, until `deadline`. Throws
  /// invalid_argument, diverged (totals whose sum is not finite), resource_exhausted, not_found
  /// (deleted, or a round long over). After an error nothing of the push has been counted.
  Answer push_pull(Request request, Deadline deadline);

  /// Whether a registration of this shape by the original's call does not replace the model; see
  /// OriginalModel. declare() may still refuse it.
  bool takes_registration(std::uint64_t length, std::uint32_t workers,
                          const std::shared_ptr<const Caller>& caller);
  std::uint32_t workers() const;
  /// See OriginalModel.
  bool is_pulled_by_another(std::int64_t worker,
                            const std::shared_ptr<const Caller>& caller) const {
    return model_.is_pulled_by_another(worker, caller);
  }
  bool can_pull(std::int64_t n, std::int64_t worker) const { return model_.can_pull(n, worker); }
  bool can_push(std::int64_t n, std::int64_t worker, const std::shared_ptr<const Caller>& caller) {
    return model_.can_push(n, worker, caller);
  }
  std::shared_ptr<const Result> pull(std::int64_t n, std::int64_t worker,
                                     const std::shared_ptr<const Caller>& caller);
  void push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker);

  /// Makes waiting calls throw not_found (remove) or unavailable (interrupt: the server is ending).
  void remove(const char* how);
  /// The turn up to which all workers had pushed when the entry was removed; -1: none, or it was
  /// not removed. Outlives the entry.
  std::shared_ptr<const std::atomic<std::int64_t>> last_turn() const { return last_turn_; }
  void interrupt() { shared_.interrupt(); }

  void touch() { touched_ = time_now().time_since_epoch().count(); }
  double idle_s() const;

  /// Increases with every change; equal versions have equal snapshots.
  std::uint64_t version() const { return shared_.version; }
  void save(Writer& out);
  static std::shared_ptr<Entry> load(Reader& in, Environment& environment);

 private:
  std::atomic<std::int64_t> touched_{0};
  const std::shared_ptr<std::atomic<std::int64_t>> last_turn_ =
      std::make_shared<std::atomic<std::int64_t>>(-1);
  Shared shared_;
  MovedVector vector_{shared_};
  RunningVector running_{shared_, vector_};
  OriginalModel model_{shared_, vector_, running_};
  RoundSums rounds_{shared_, vector_, model_};
  NewestSums newest_{shared_};
};

}  // namespace lambdaml::ps
