#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
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

/// Floats under one lock.
inline constexpr std::size_t kShard = 64 << 10;

/// That may share an entry.
inline constexpr std::uint32_t kMostWorkers = 1 << 20;

/// What the server does with pushes to a model of its own: adds them, or descends along them; see
/// Registration in parameter_server.thrift.
struct Rule {
  struct Range {
    std::uint64_t begin = 0, end = 0;
    bool operator==(const Range&) const = default;
  };
  std::optional<double> learning_rate = {};
  double momentum = 0;
  double l2 = 0;
  std::vector<Range> penalized = {};  ///< empty: all
  bool operator==(const Rule&) const = default;
};

/// All that the server keeps under one id: sums of rounds, and a vector that pushes move. Each
/// entry has locks of its own; a long vector has one for each 64 Ki floats, so that pushes of
/// several workers move it at the same time.
///
/// A push counts once, by worker and round: of a round, the first is kept; of a running vector,
/// those from beyond the worker's last. So every call may be repeated, by the same process or by
/// another attempt of the worker.
///
/// Sums of rounds are kept until every worker has said, by Part::retired, that it will not come
/// back before a later one.
class Entry {
 public:
  Entry(std::string id, Environment& environment);

  const std::string& id() const { return id_; }
  bool has_model() const;
  std::uint64_t model_length() const;

  /// Makes it a model. A second time, with the same length and workers, it does nothing; with
  /// others, and where sums are kept under this id, it throws already_exists.
  void declare(std::uint64_t length, std::uint32_t workers, Rule rule, bool zeros);

  struct Answer {
    std::shared_ptr<const Result> result;  ///< null when something is missing
    std::uint64_t merged = 0;
    std::vector<std::uint32_t> missing = {};
    bool resend = false;
    std::uint64_t generation = 0;
  };
  /// Takes the push and waits for what the kind says, until `deadline`. Throws invalid_argument,
  /// diverged (totals whose sum is not finite), resource_exhausted, not_found (deleted, or long
  /// over). After an error nothing of the push has been counted.
  Answer push_pull(Request request, Deadline deadline);

  /// The original's calls, on a model; `n` counts a worker's turns.
  bool can_pull(std::int64_t n, std::int64_t worker) const;
  bool can_push(std::int64_t n, std::int64_t worker) const;
  std::shared_ptr<const Result> pull(std::int64_t n, std::int64_t worker);
  /// `doubles` are overwritten.
  void push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker);

  /// Whoever waits gets not_found, or unavailable: the server ends.
  void remove();
  void interrupt();

  void touch() { touched_ = Deadline::Clock::now().time_since_epoch().count(); }
  double idle_s() const;

  /// Grows with every change; a snapshot of the same version says the same.
  std::uint64_t version() const { return version_; }
  void save(Writer& out);
  static std::shared_ptr<Entry> load(Reader& in, Environment& environment);

 private:
  struct Collecting {
    std::size_t totals = 0;
    std::uint64_t length = 0;
    std::vector<std::unique_ptr<Result>> parts = {};
    std::vector<bool> arrived = {};
    std::uint32_t count = 0;
    bool sparse = false;
    Charge charge = {};
  };
  struct Turns {
    std::uint64_t next_push = 0, next_pull = 0;  ///< rounds before these have been counted
    std::uint64_t pushes = 0;
    std::uint64_t retired = 0;
    bool finished = false;
  };
  struct Newest {
    std::uint64_t round = 0;
    std::shared_ptr<const Result> result;
  };
  using Lock = std::unique_lock<std::mutex>;

  Answer add_to_round(Request request, Deadline deadline);
  Answer add_to_running(Request request, Deadline deadline);
  Answer replace_newest(Request request);
  Answer put_back_result(Request request);

  void set_workers(std::uint32_t workers);
  void check_worker(std::int64_t worker) const;
  void check_totals(std::span<const double> totals) const;
  void retire(const Part& part);
  Answer answer_of_round(const Part& part, const std::shared_ptr<const Result>& result) const;
  Collecting& add_part(Request& request);
  std::shared_ptr<const Result> complete_round(Lock& lock, Collecting& round, const Part& part);
  std::shared_ptr<Result> sum(const std::vector<const Result*>& parts, bool sparse) const;
  std::vector<std::uint32_t> silent(const Collecting& round) const;
  /// False when the deadline came first.
  bool wait(Lock& lock, Deadline deadline, const std::function<bool()>& ready);

  void count_running_push(Lock& lock, Request& request);
  std::vector<std::uint32_t> behind(const Part& part) const;
  /// Where a worker begins, so that several move the vector at the same time.
  std::size_t shard_of(std::uint32_t worker) const {
    return model_.size() / workers_ * worker / kShard;
  }

  /// Moves the model by pushed values, which are overwritten; out of the lock, within a Moving.
  /// They throw nothing.
  void move(std::span<float> values, double scale, double rate, std::size_t first_shard);
  void move_sparse(std::span<const std::uint32_t> indices, std::span<const float> values,
                   double scale);
  std::shared_ptr<Result> room_for_copy(std::uint64_t n_totals, std::uint64_t n_values) const;
  void copy_model(Result& into, std::size_t first_shard) const;
  std::shared_ptr<Result> copy_of(const std::optional<Buffer>& wanted, std::uint64_t n_totals,
                                  std::size_t first_shard) const;
  void make_model(std::uint64_t length, const Rule& rule);
  template <class Body>
  void each_shard(std::size_t first, Body body) const;
  class Moving;
  class Freeze;
  void save_sums(Writer& out) const;
  void load_sums(Reader& in);
  void load_vector(Reader& in);

  const std::string id_;
  Environment& environment_;
  std::atomic<std::int64_t> touched_{0};
  std::atomic<std::uint64_t> version_{1};

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool removed_ = false;
  bool interrupted_ = false;
  std::uint32_t workers_ = 0;
  std::vector<Turns> turns_;  ///< of each worker
  Charge workers_charge_;

  std::map<std::uint64_t, Collecting> open_;
  std::map<std::uint64_t, std::shared_ptr<const Result>> results_;
  std::uint64_t dropped_before_ = 0;

  std::vector<Newest> newest_;

  std::uint64_t generation_ = 0;
  bool is_model_ = false;
  Rule rule_;
  std::vector<float> model_;
  std::vector<float> velocity_;
  std::vector<double> totals_;
  std::unique_ptr<std::mutex[]> shards_;  ///< made once, with the vector's length and rule
  std::uint64_t pushes_ = 0, pulls_ = 0;
  Charge model_charge_, totals_charge_;
  int moving_ = 0;       ///< threads that move the model
  bool frozen_ = false;  ///< a snapshot is being taken: nobody begins to
};

}  // namespace lambdaml::ps
