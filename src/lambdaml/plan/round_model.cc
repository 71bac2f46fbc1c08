#include "lambdaml/plan/round_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/storage/key_index.h"
#include "lambdaml/storage/pacer.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::plan {
namespace {

using sim::Verb;
using storage::Pacer;

/// Waits learn from one round for the next, so that only the mean of many says something.
constexpr double kMostRounds = 300;
/// Requests and polls, after which no further round is drawn.
constexpr std::uint64_t kMostEvents = 200'000;

/// A value of a round.
struct Key {
  bool is_there = false;
  std::vector<std::uint32_t> told;  ///< workers that wait for it
};

/// A wait for several of them, as storage::Wait makes it.
struct Waiting {
  std::vector<Key*> keys;
  std::vector<bool> loaded;
  std::size_t first_missing = 0;
  double begin_s = 0;
  std::size_t asked = 0;            ///< of the batch under way: how many it was to have
  std::optional<Pacer::Wait> pace;  ///< unless all keys are polled together
  double next_s = 0;                ///< when, if they are
  bool is_over() const { return first_missing == keys.size(); }
};

/// Requests that a worker makes together.
struct Batch {
  Verb verb = Verb::get;
  std::size_t size = 0, done = 0, found = 0;
  double begin_s = 0;
  std::vector<Key*> saved;           ///< by a PUT; null: names of the others, in an index
  std::size_t folders = 0;           ///< of which there are names
  std::vector<std::size_t> awaited;  ///< by a GET: which of what is waited for
  std::vector<double> free_s;        ///< the lanes
  std::size_t lane = 0;              ///< of the request under way
  double latency_s = 0;
};

/// What a worker does next.
enum class Step { contribute, collect, await_contributions, merge, publish, await_merged, take };

struct Worker {
  Step step = Step::contribute;
  std::uint64_t round = 0;
  std::unique_ptr<sim::FunctionNetwork> network;
  std::unique_ptr<Pacer> pacer;
  Batch batch;
  Waiting wait;
};

/// When each worker goes on: a tree of winners, whose root is the first one and, among equals, that
/// of the lowest number. A worker is due once at most. An event compares log2 P siblings, which do
/// not depend on each other, without a branch.
class Due {
 public:
  explicit Due(std::size_t workers) : leaves_(std::bit_ceil(workers)), nodes_(2 * leaves_) {
    for (std::size_t i = 0; i < leaves_; ++i) nodes_[leaves_ + i].worker = i;
    for (std::size_t node = leaves_; node-- > 1;) nodes_[node] = nodes_[2 * node];
  }

  void set(std::uint32_t worker, double at_s) {
    postpone(worker, at_s);
    Node first = nodes_[leaves_ + worker];
    for (std::size_t node = leaves_ + worker; node > 1; node /= 2) {
      // That of lower numbers comes first if both are due at once.
      const Node sibling = nodes_[node ^ 1];
      const bool is_sibling = sibling.at < first.at + (node & 1);
      first.at = is_sibling ? sibling.at : first.at;
      first.worker = is_sibling ? sibling.worker : first.worker;
      nodes_[node / 2] = first;
    }
  }
  bool is_any() const { return nodes_[1].at < kNeverAt; }
  std::uint32_t first() const { return static_cast<std::uint32_t>(nodes_[1].worker); }
  double at_s(std::uint32_t worker) const {
    return std::bit_cast<double>(nodes_[leaves_ + worker].at);
  }
  /// Of the first one only: set() has to follow before the next first().
  void postpone(std::uint32_t worker, double at_s) {
    nodes_[leaves_ + worker].at = std::bit_cast<std::uint64_t>(at_s);
  }

  static constexpr double kNever = std::numeric_limits<double>::infinity();

 private:
  /// The bits of seconds from 0 on, which are in the same order.
  static constexpr std::uint64_t kNeverAt = std::bit_cast<std::uint64_t>(kNever);
  struct Node {
    std::uint64_t at = kNeverAt;
    std::uint64_t worker = 0;
  };

  std::size_t leaves_;
  std::vector<Node> nodes_;  ///< 1 is the root, 2n and 2n + 1 are below n
};

/// Rounds as events in time, one per request. Two that follow each other may be under way at once,
/// so there are two sets of keys.
class Rounds {
 public:
  Rounds(const Round& round, const sim::StoreProfile& store, const sim::FunctionProfile& functions,
         double memory_mb, std::uint64_t rounds)
      : store_(store),
        p_(round.workers),
        c_(std::clamp<std::uint32_t>(round.aggregators, 1, round.workers)),
        chunk_bytes_(round.bytes / static_cast<double>(c_)),
        limits_(store),
        vpc_(functions.vpc_network),
        host_(sim::Bandwidth{.bytes_per_s = functions.host_processors}),
        shared_{&vpc_, functions.host_processors > 0 ? &host_ : nullptr},
        workers_(p_),
        ends_s_(rounds),
        ended_(rounds),
        due_(p_) {
    for (std::vector<Key>& keys : keys_) keys.resize(c_ * (p_ + 1));
    for (Worker& worker : workers_) {
      worker.network = std::make_unique<sim::FunctionNetwork>(sim::FunctionNetwork{
          memory_mb, sim::Link(functions.network), sim::Link(functions.network)});
      worker.pacer = std::make_unique<Pacer>(
          Pacer::tuning(store.polling_is_expensive, store.polling_is_quick));
    }
  }

  /// Returns how many rounds were run: all, or as many as are worth their events.
  std::uint64_t run() {
    for (std::uint32_t i = 0; i < p_; ++i) due_.set(i, 0);
    for (std::uint64_t events = 0; due_.is_any(); ++events) {
      if (events > kMostEvents && whole_ > 1) break;
      const std::uint32_t i = due_.first();
      now_s_ = due_.at_s(i);
      due_.postpone(i, Due::kNever);
      Batch& batch = workers_[i].batch;
      if (batch.done < batch.size)
        take_effect(i);
      else
        go_on(i);
      due_.set(i, due_.at_s(i));
    }
    return whole_;
  }

  /// When the last worker ended each round.
  const std::vector<double>& ends_s() const { return ends_s_; }
  /// Requests of all rounds.
  const RoundEstimate& requests() const { return requests_; }

 private:
  Key& contribution(std::uint64_t round, std::size_t c, std::size_t i) {
    return keys_[round % 2][c * p_ + i];
  }
  Key& merged(std::uint64_t round, std::size_t c) { return keys_[round % 2][c_ * p_ + c]; }
  bool merges(std::size_t i) const { return i < c_; }
  std::size_t foreign_chunks(std::size_t i) const { return c_ - (merges(i) ? 1 : 0); }

  // ---- requests: as sim::StoreModel makes them ----

  void begin(std::uint32_t i, Verb verb, std::size_t n) {
    Batch& batch = workers_[i].batch;
    batch.verb = verb;
    batch.size = n;
    batch.done = batch.found = 0;
    batch.begin_s = now_s_;
    batch.free_s.assign(sim::lanes_of(store_, verb, n), now_s_);
    double& requests = verb == Verb::put      ? requests_.puts
                       : verb == Verb::remove ? requests_.removes
                                              : requests_.gets;
    if (verb != Verb::put) batch.folders = 0;
    const std::size_t values = n - batch.folders;
    requests += static_cast<double>(batch.folders) +
                sim::batch_limits(store_, verb).requests(values, chunk_bytes_);
    if (verb == Verb::put)
      requests += static_cast<double>(values) * (store_.parts.saves(chunk_bytes_) - 1);
    send(i);
  }

  /// The next request of the batch.
  void send(std::uint32_t i) {
    Worker& worker = workers_[i];
    Batch& batch = worker.batch;
    const auto lane = std::ranges::min_element(batch.free_s);
    batch.lane = static_cast<std::size_t>(lane - batch.free_s.begin());
    const sim::Latency& latency = batch.verb == Verb::put      ? store_.put
                                  : batch.verb == Verb::remove ? store_.remove
                                                               : store_.get;
    const double begin_s = limits_.admitted_s(batch.verb, *lane);
    batch.latency_s = limits_.besides_work_s(batch.verb, latency.sample(rng_), shared_);
    const bool sends = batch.verb == Verb::put && batch.saved[batch.done] != nullptr;
    const double bytes = sends ? chunk_bytes_ : 0;
    const double sent_s = limits_.sent_s(batch.verb, batch.free_s.size(), begin_s, bytes,
                                         worker.network.get(), shared_);
    const double effect_s = sent_s + batch.latency_s / 2;
    due_.postpone(i, std::max(now_s_, effect_s));
  }

  void take_effect(std::uint32_t i) {
    Worker& worker = workers_[i];
    Batch& batch = worker.batch;
    double received = 0;
    if (batch.verb == Verb::put && batch.saved[batch.done] != nullptr) {
      Key& key = *batch.saved[batch.done];
      key.is_there = true;
      for (const std::uint32_t told : key.told) due_.set(told, now_s_);
      key.told.clear();
    } else if (batch.verb == Verb::get) {
      const std::size_t at = batch.awaited[batch.done];
      if (worker.wait.keys[at]->is_there) {
        worker.wait.loaded[at] = true;
        ++batch.found;
        received = chunk_bytes_;
        requests_.gets += store_.parts.loads(chunk_bytes_) - 1;
      }
    }
    batch.free_s[batch.lane] =
        limits_.received_s(now_s_, received, worker.network.get(), shared_) + batch.latency_s / 2;
    ++batch.done;
    // Values that were late are noted again.
    if (batch.done == batch.size && now_s_ - batch.begin_s >= storage::KeyIndex::kLease) {
      batch.saved.insert(batch.saved.end(), batch.folders, nullptr);
      requests_.puts += static_cast<double>(batch.folders);
      batch.size += std::exchange(batch.folders, 0);
    }
    if (batch.done < batch.size) return send(i);
    due_.postpone(i, std::ranges::max(batch.free_s));
  }

  // ---- steps: as comm::bulk::Bulk makes them ----

  void go_on(std::uint32_t i) {
    while (workers_[i].round < ends_s_.size() && step(i)) {
    }
  }

  /// Returns whether the next step follows at once.
  bool step(std::uint32_t i) {
    Worker& worker = workers_[i];
    switch (worker.step) {
      case Step::contribute:
        worker.step = Step::collect;
        return !contribute(i);
      case Step::collect:
        worker.step = merges(i) ? Step::await_contributions : Step::await_merged;
        if (worker.round == 0 || foreign_chunks(i) == 0) return true;
        begin(i, Verb::remove, foreign_chunks(i));
        return false;
      case Step::await_contributions:
        await_contributions(i);
        worker.step = Step::merge;
        return true;
      case Step::merge:
        if (!is_over(i)) return false;
        worker.step = Step::publish;
        return true;
      case Step::publish:
        worker.step = Step::await_merged;
        // All have contributed, so that all have taken the one of the round before.
        merged(worker.round + 1, i).is_there = false;
        begin_saving(i, {&merged(worker.round, i)}, 1);
        return false;
      case Step::await_merged:
        await_merged(i);
        worker.step = Step::take;
        return true;
      case Step::take:
        if (!is_over(i)) return false;
        ends_s_[worker.round] = std::max(ends_s_[worker.round], now_s_);
        if (++ended_[worker.round] == p_) ++whole_;
        ++worker.round;
        worker.step = Step::contribute;
        return true;
    }
    return false;
  }

  /// Returns whether there is something to save.
  bool contribute(std::uint32_t i) {
    Worker& worker = workers_[i];
    std::vector<Key*> saved;
    for (std::size_t c = 0; c < c_; ++c) {
      if (c == i) continue;
      saved.push_back(&contribution(worker.round, c, i));
      // That of the next round, whose place a merged one has, is not there yet.
      contribution(worker.round + 1, c, i).is_there = false;
    }
    if (saved.empty()) return false;
    const std::size_t folders = saved.size();  // one for each chunk
    begin_saving(i, std::move(saved), folders);
    return true;
  }

  /// Keys of a round are new, so that an index notes them first: one request for each folder.
  void begin_saving(std::uint32_t i, std::vector<Key*> saved, std::size_t folders) {
    Batch& batch = workers_[i].batch;
    batch.folders = store_.keeps_index ? folders : 0;
    batch.saved = std::move(saved);
    batch.saved.insert(batch.saved.begin(), batch.folders, nullptr);
    begin(i, Verb::put, batch.saved.size());
  }

  void await_contributions(std::uint32_t i) {
    std::vector<Key*> keys;
    for (std::size_t other = 0; other < p_; ++other)
      if (other != i) keys.push_back(&contribution(workers_[i].round, i, other));
    wait_for(workers_[i], std::move(keys), "v/");
  }

  void await_merged(std::uint32_t i) {
    const std::uint64_t round = workers_[i].round;
    std::vector<Key*> keys;
    for (std::size_t c = 0; c < c_; ++c)
      if (c != i) keys.push_back(&merged(round, c));
    wait_for(workers_[i], std::move(keys), "m/");
  }

  // ---- waits: as storage's watches by polling, and those of stores that push ----

  void wait_for(Worker& worker, std::vector<Key*> keys, const char* folder) const {
    worker.wait.loaded.assign(keys.size(), false);
    worker.wait.keys = std::move(keys);
    worker.wait.first_missing = 0;
    worker.wait.begin_s = now_s_;
    worker.wait.asked = 0;
    worker.wait.next_s = now_s_;
    worker.wait.pace.emplace(worker.pacer->wait_for(folder, store_.parallel));
  }

  static std::vector<std::size_t> missing(const Waiting& wait, std::size_t most) {
    std::vector<std::size_t> out;
    for (std::size_t i = wait.first_missing; i < wait.keys.size() && out.size() < most; ++i)
      if (!wait.loaded[i]) out.push_back(i);
    return out;
  }

  void ask(std::uint32_t i, std::vector<std::size_t> awaited, std::size_t asked) {
    workers_[i].wait.asked = asked;
    workers_[i].batch.awaited = std::move(awaited);
    begin(i, Verb::get, workers_[i].batch.awaited.size());
  }

  /// Whether the wait is over; if not, its next request, pause or notice is under way.
  bool is_over(std::uint32_t i) {
    Waiting& wait = workers_[i].wait;
    while (!wait.is_over() && wait.loaded[wait.first_missing]) ++wait.first_missing;
    if (store_.pushes) return wait.is_over() || !listen(i);
    if (store_.keeps_index) return wait.is_over() || !poll_all(i);
    if (wait.asked > 0 && poll_on(i)) return false;
    if (wait.is_over()) return true;
    const double next_s = wait.begin_s + wait.pace->next_poll_s();
    if (now_s_ < next_s)
      due_.postpone(i, next_s);
    else
      ask(i, missing(wait, wait.pace->poll_size()), wait.pace->poll_size());
    return false;
  }

  /// After a batch: returns whether another one follows at once.
  bool poll_on(std::uint32_t i) {
    const Batch& batch = workers_[i].batch;
    Waiting& wait = workers_[i].wait;
    const std::size_t asked = std::exchange(wait.asked, 0);
    if (wait.is_over()) {
      wait.pace->found(now_s_ - wait.begin_s);
      return false;
    }
    const bool all_there = batch.found == batch.size;
    const std::size_t size = wait.pace->size_after(asked, batch.size, all_there);
    if (all_there)
      ask(i, missing(wait, size), size);
    else
      wait.pace->in_vain(now_s_ - wait.begin_s);
    return all_there;
  }

  /// Asks for all missing values together, or waits until it is time to.
  bool poll_all(std::uint32_t i) {
    Waiting& wait = workers_[i].wait;
    if (std::exchange(wait.asked, 0) > 0)
      wait.next_s = now_s_ + storage::pause_of_polling_all(now_s_ - wait.begin_s);
    if (now_s_ < wait.next_s)
      due_.postpone(i, wait.next_s);
    else
      ask(i, missing(wait, wait.keys.size()), wait.keys.size());
    return true;
  }

  /// Asks for what is there, or waits to be told of the first missing value.
  bool listen(std::uint32_t i) {
    constexpr std::size_t kLookedThrough = 256;
    Waiting& wait = workers_[i].wait;
    std::vector<std::size_t> there;
    std::size_t looked = 0;
    for (std::size_t at = wait.first_missing; at < wait.keys.size(); ++at) {
      if (wait.loaded[at]) continue;
      if (wait.keys[at]->is_there) there.push_back(at);
      if (++looked == kLookedThrough || there.size() == store_.parallel) break;
    }
    if (there.empty())
      wait.keys[wait.first_missing]->told.push_back(i);
    else
      ask(i, there, there.size());
    return true;
  }

  const sim::StoreProfile& store_;
  const std::size_t p_, c_;
  const double chunk_bytes_;
  sim::StoreLimits limits_;
  sim::Link vpc_, host_;
  const sim::SharedLinks shared_;
  Rng rng_{1};
  std::vector<Worker> workers_;
  std::vector<Key> keys_[2];
  std::vector<double> ends_s_;
  std::vector<std::size_t> ended_;  ///< workers, by round
  std::uint64_t whole_ = 0;         ///< rounds that all have ended
  RoundEstimate requests_;
  double now_s_ = 0;
  Due due_;
};

/// Rounds of a store that adds up: each worker sends its vector, and the last one's arrival answers
/// all.
class SummedRounds {
 public:
  SummedRounds(const Round& round, const sim::StoreProfile& store,
               const sim::FunctionProfile& functions, double memory_mb)
      : store_(store),
        bytes_(round.bytes),
        limits_(store),
        vpc_(functions.vpc_network),
        host_(sim::Bandwidth{.bytes_per_s = functions.host_processors}),
        shared_{&vpc_, functions.host_processors > 0 ? &host_ : nullptr},
        networks_(round.workers,
                  {memory_mb, sim::Link(functions.network), sim::Link(functions.network)}),
        free_s_(round.workers, 0) {}

  /// When the last worker ended each of so many rounds.
  std::vector<double> run(std::uint64_t rounds) {
    std::vector<double> out;
    std::vector<std::size_t> order(free_s_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::vector<double> latencies_s(order.size());
    for (std::uint64_t r = 0; r < rounds; ++r) {
      std::ranges::stable_sort(order, {}, [&](std::size_t i) { return free_s_[i]; });
      double all_s = 0;
      for (const std::size_t i : order) {
        const double begin_s = limits_.admitted_s(Verb::put, free_s_[i]);
        latencies_s[i] = limits_.besides_work_s(Verb::put, store_.put.sample(rng_), shared_);
        const double arrived_s =
            limits_.sent_s(Verb::put, 1, begin_s, bytes_, &networks_[i], shared_);
        all_s = std::max(all_s, arrived_s + latencies_s[i] / 2);
      }
      double end_s = 0;
      for (const std::size_t i : order) {
        free_s_[i] = limits_.received_s(all_s, bytes_, &networks_[i], shared_) + latencies_s[i] / 2;
        end_s = std::max(end_s, free_s_[i]);
      }
      out.push_back(end_s);
    }
    return out;
  }

 private:
  const sim::StoreProfile& store_;
  const double bytes_;
  sim::StoreLimits limits_;
  sim::Link vpc_, host_;
  const sim::SharedLinks shared_;
  Rng rng_{1};
  std::vector<sim::FunctionNetwork> networks_;
  std::vector<double> free_s_;
};

/// From when each round that was drawn had ended.
RoundEstimate estimate_from(const std::vector<double>& ends_s, std::uint64_t n, double rounds,
                            RoundEstimate requests) {
  RoundEstimate out = requests;
  for (double* const value : {&out.puts, &out.gets, &out.removes}) *value /= static_cast<double>(n);
  const std::uint64_t half = n / 2;
  out.drawn = static_cast<double>(n);
  out.drawn_s = ends_s[n - 1];
  if (half > 0) out.later_s = (ends_s[n - 1] - ends_s[n - 1 - half]) / static_cast<double>(half);
  std::vector<double> seconds{ends_s.front()};
  for (std::uint64_t r = 1; r < n; ++r) seconds.push_back(ends_s[r] - ends_s[r - 1]);
  out.median_s = quantile(std::move(seconds), 0.5);
  return out.of(rounds);
}

}  // namespace

RoundRequests requests_of(const Round& round) {
  const double p = round.workers, c = std::min(round.aggregators, round.workers);
  if (round.workers <= 1) return {};
  return {c * p, 2 * c * (p - 1)};
}

double rounds_drawn(const Round& round, double rounds, double requests) {
  const RoundRequests each = requests_of(round);
  const double most = std::clamp(requests / std::max(1.0, each.puts + each.gets), 2.0, kMostRounds);
  return std::floor(std::clamp(rounds, 1.0, most));
}

RoundEstimate RoundEstimate::of(double rounds) const {
  RoundEstimate out = *this;
  const double rest = std::max(0.0, rounds - drawn);
  if (drawn > 0) out.seconds = (drawn_s + rest * later_s) / (drawn + rest);
  return out;
}

RoundEstimate estimate_round(const Round& round, const sim::StoreProfile& store,
                             const sim::FunctionProfile& functions, double memory_mb, double rounds,
                             double requests) {
  if (round.workers <= 1) return {};
  if (store.adds) {
    const auto n = static_cast<std::uint64_t>(rounds_drawn(round, rounds, requests));
    RoundEstimate made;
    made.puts = made.gets = static_cast<double>(n) * round.workers;
    return estimate_from(SummedRounds(round, store, functions, memory_mb).run(n), n, rounds, made);
  }
  Rounds drawn_rounds(round, store, functions, memory_mb,
                      static_cast<std::uint64_t>(rounds_drawn(round, rounds, requests)));
  const std::uint64_t n = drawn_rounds.run();
  return estimate_from(drawn_rounds.ends_s(), n, rounds, drawn_rounds.requests());
}

}  // namespace lambdaml::plan
