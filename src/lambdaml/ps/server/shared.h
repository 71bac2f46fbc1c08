#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/ps/message.h"
#include "lambdaml/ps/server/archive.h"
#include "lambdaml/ps/server/environment.h"
#include "lambdaml/ps/server/request.h"

namespace lambdaml::ps {

/// The limit of workers that share an entry.
inline constexpr std::uint32_t kMostWorkers = 1 << 20;

/// One connection: while it is open, its handler holds the only strong reference.
struct Caller {};

/// The progress of one worker.
struct Turns {
  std::uint64_t next_push = 0, next_pull = 0;  ///< rounds before these have been counted
  std::uint64_t pushes = 0;
  std::uint64_t retired = 0;
  bool finished = false;
  /// The connection of the latest pull by the original's call, which is expired if it was closed;
  /// nullopt: there was no such pull.
  std::optional<std::weak_ptr<const Caller>> puller = {};
  /// The checksum of the latest push by the original's call; nullopt: unknown, or another call.
  std::optional<std::uint64_t> pushed = {};
};

struct Answer {
  std::shared_ptr<const Result> result;  ///< null if contributions are missing
  std::uint64_t merged = 0;
  std::vector<std::uint32_t> missing = {};
  bool resend = false;
  std::uint64_t generation = 0;
};

using Lock = std::unique_lock<std::mutex>;

/// What the sums under one id share: the workers, the lock and the waiting. Members that are
/// neither atomic nor constant are used under `mutex`; so are the functions, except remove() and
/// interrupt(), which lock it themselves, check_totals() and room_for().
class Shared {
 public:
  Shared(std::string id_, Environment& environment_)
      : id(std::move(id_)), environment(environment_) {}

  const std::string id;
  Environment& environment;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::uint32_t workers = 0;
  std::vector<Turns> turns;  ///< of each worker
  /// Increases with every change; equal versions have equal snapshots.
  std::atomic<std::uint64_t> version{1};

  /// The first call sets the number of workers; 0 accepts the present number. Throws
  /// invalid_argument for another number.
  void set_workers(std::uint32_t count);
  void check_worker(std::int64_t worker) const;
  /// Throws diverged for a number that is not finite.
  void check_totals(std::span<const double> totals) const;
  /// A result of that size, charged to the budget.
  std::shared_ptr<Result> room_for(std::uint64_t n_totals, std::uint64_t n_values) const;

  /// Waits until `ready` holds; returns false at the deadline. Throws not_found after remove(),
  /// unavailable after interrupt().
  bool wait(Lock& lock, Deadline deadline, const std::function<bool()>& ready);
  void wait_for_snapshot(Lock& lock);
  /// `how`: "deleted", for the message.
  void remove(const char* how);
  void interrupt();

  void save(Writer& out) const;
  void load(Reader& in);

 private:
  friend class Moving;
  friend class Freeze;

  const char* removed_ = nullptr;  ///< how
  bool interrupted_ = false;
  Charge workers_charge_;
  int moving_ = 0;       ///< threads that are summing or modifying the vector
  bool frozen_ = false;  ///< a snapshot is being taken: no thread may begin to
};

/// While one lives, its thread sums or modifies the vector without the lock, and no snapshot is
/// taken. The destructor locks again, also after an exception.
class Moving {
 public:
  /// Waits for a snapshot to end; throws what wait() throws.
  Moving(Shared& shared, Lock& lock) : shared_(shared), lock_(lock) {
    shared_.wait_for_snapshot(lock_);
    ++shared_.moving_;
    lock_.unlock();
  }
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;
  ~Moving() {
    lock_.lock();
    --shared_.moving_;
    if (shared_.frozen_) shared_.changed.notify_all();
  }

 private:
  Shared& shared_;
  Lock& lock_;
};

/// While one lives, under the lock, a snapshot is being taken and no thread modifies the vector.
class Freeze {
 public:
  Freeze(Shared& shared, Lock& lock) : shared_(shared) {
    shared_.frozen_ = true;
    shared_.changed.wait(lock, [this] { return shared_.moving_ == 0; });
  }
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;
  ~Freeze() {
    shared_.frozen_ = false;
    shared_.changed.notify_all();
  }

 private:
  Shared& shared_;
};

/// The parts, of equal sizes, summed float by float in their order; `sparse`: the result also holds
/// the values that are not 0. Call without the lock. Throws diverged, resource_exhausted.
std::shared_ptr<Result> sum_of(const Shared& shared, const std::vector<const Result*>& parts,
                               bool sparse);

}  // namespace lambdaml::ps
