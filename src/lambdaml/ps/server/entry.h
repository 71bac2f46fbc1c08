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

/// All that the server keeps under one id: the sums of rounds, a vector that pushes move, the sum
/// of the newest pushes, and whether the vector is a registered model. Each entry has locks of its
/// own. A push counts once, by worker and round, so every call may be repeated, by the same process
/// or by another attempt of the worker. All methods may be called by several threads at once.
class Entry {
 public:
  using Answer = ps::Answer;

  Entry(std::string id, Environment& environment);

  const std::string& id() const { return shared_.id; }
  bool has_model() const;
  std::uint64_t model_length() const;

  /// Makes it a model. A second time, with the same length and workers, it does nothing; with
  /// others, and where sums are kept under this id, it throws already_exists.
  void declare(std::uint64_t length, std::uint32_t workers, const Rule& rule, bool zeros);

  /// Takes the push and waits for what the kind says, until `deadline`. Throws invalid_argument,
  /// diverged (totals whose sum is not finite), resource_exhausted, not_found (deleted, or long
  /// over). After an error nothing of the push has been counted.
  Answer push_pull(Request request, Deadline deadline);

  /// See OriginalModel.
  bool can_pull(std::int64_t n, std::int64_t worker) const { return model_.can_pull(n, worker); }
  bool can_push(std::int64_t n, std::int64_t worker) const { return model_.can_push(n, worker); }
  std::shared_ptr<const Result> pull(std::int64_t n, std::int64_t worker);
  void push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker);

  /// Calls that wait throw not_found, or unavailable: the server ends.
  void remove() { shared_.remove(); }
  void interrupt() { shared_.interrupt(); }

  void touch() { touched_ = time_now().time_since_epoch().count(); }
  double idle_s() const;

  /// Grows with every change; a snapshot of the same version says the same.
  std::uint64_t version() const { return shared_.version; }
  void save(Writer& out);
  static std::shared_ptr<Entry> load(Reader& in, Environment& environment);

 private:
  std::atomic<std::int64_t> touched_{0};
  Shared shared_;
  MovedVector vector_{shared_};
  RunningVector running_{shared_, vector_};
  OriginalModel model_{shared_, vector_, running_};
  RoundSums rounds_{shared_, vector_, model_};
  NewestSums newest_{shared_};
};

}  // namespace lambdaml::ps
