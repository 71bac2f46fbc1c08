#pragma once

#include <algorithm>
#include <any>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/batch_limits.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/sim/profile.h"
#include "lambdaml/sim/simulation.h"

/// What simulated processes meet: stores that hold values and take time, networks, and faults.
namespace lambdaml::sim {

/// A shaped network: bytes pass one after another, at the burst's rate while there is credit.
class Link {
 public:
  explicit Link(const Bandwidth& bandwidth)
      : bandwidth_(bandwidth), credit_(bandwidth.burst_bytes) {}
  /// When `bytes` that are sent from `now_s` on have passed.
  double pass(double now_s, double bytes);

 private:
  Bandwidth bandwidth_;
  double credit_;
  double since_s_ = 0;  ///< of credit_; what is sent earlier has passed by then
};

/// The network of a function: annotation of its Process. Null for processes that have none, whose
/// transfers only the store limits.
struct FunctionNetwork {
  double memory_mb = 0;
  Link up, down;
  bool has_loaded = false;  ///< its rows: see World::load_s
};

/// What functions share; null: nothing of it.
struct SharedLinks {
  Link* vpc = nullptr;   ///< of those that use stores in it
  Link* host = nullptr;  ///< processors, which work of a processor's seconds passes
};

enum class Verb { put, get, list, remove };

/// What all requests to a store share: its rates, and the networks that their bytes pass.
class StoreLimits {
 public:
  explicit StoreLimits(const StoreProfile& profile);
  /// When the store takes a request: those above its rate queue up, after a second's worth of them.
  double admitted_s(Verb verb, double now_s);
  /// When a request that is made at `now_s`, one of a batch of which `lanes` are under way at once,
  /// and the bytes that it sends have passed the function's connection, its network, the VPC, the
  /// server and the host's processors. `function`: null if there is none.
  double sent_s(Verb verb, std::size_t lanes, double now_s, double bytes, FunctionNetwork* function,
                const SharedLinks& shared);
  /// The same for bytes that come back.
  double received_s(double now_s, double bytes, FunctionNetwork* function,
                    const SharedLinks& shared);
  /// What of a request's latency is not work of a shared host's processors.
  double besides_work_s(Verb verb, double latency_s, const SharedLinks& shared) const {
    return shared.host == nullptr ? latency_s : std::max(0.0, latency_s - work_s(verb));
  }

 private:
  double work_s(Verb verb) const {
    return verb == Verb::put ? put_processor_s_ : request_processor_s_;
  }
  double moved_s(bool up, double now_s, double bytes, double work_s, FunctionNetwork* function,
                 const SharedLinks& shared);

  double put_per_s_, get_per_s_;
  std::map<double, double> put_bytes_per_s_, get_bytes_per_s_;
  bool in_vpc_;
  double request_processor_s_, put_processor_s_, put_byte_processor_s_, get_byte_processor_s_;
  std::optional<Link> server_;
  double next_put_s_ = 0, next_get_s_ = 0;
};

/// A call of a simulated store, before it is made.
struct Call {
  std::uint64_t number = 0;  ///< of all calls of the simulation
  std::string_view store;
  Verb verb = Verb::get;
  std::string_view key;
  std::string_view process;
};

/// What befalls a call.
struct Fault {
  enum class Kind {
    none,
    fails_before,   ///< unavailable; the store has not seen it
    fails_after,    ///< unavailable, although it took effect
    delay,          ///< takes `seconds` longer; calls of others may overtake it
    killed_before,  ///< its process
    killed_after,
    frozen,         ///< its process, for `seconds` before the call
    forgets,        ///< a store that is not durable restarts empty, before the call
    clock_jumps,    ///< the process's wall clock, by `seconds`
    invoked_again,  ///< befalls no call, but an invocation: see World::invoked_again
  };
  Kind kind = Kind::none;
  double seconds = 0;
};

/// How many requests of a batch of `n` keys a store has under way at once.
std::size_t lanes_of(const StoreProfile& store, Verb verb, std::size_t n);

/// How many keys and bytes one request of a batch takes.
BatchLimits batch_limits(const StoreProfile& store, Verb verb);

/// Requests and bytes of values, as a store counts them.
struct Traffic {
  std::uint64_t puts = 0, gets = 0, lists = 0, removes = 0;
  std::uint64_t put_bytes = 0, get_bytes = 0;
  double put_kb = 0, get_kb = 0, get_4kb = 0;  ///< units
};

/// One simulated store: what it holds and what its requests take. All handles to a name share it.
class StoreModel {
 public:
  using Value = std::shared_ptr<const Buffer>;

  /// `world`: null for a store that takes no time.
  StoreModel(const StoreProfile& profile, class World* world);

  const StoreProfile& profile() const { return profile_; }
  std::map<std::string, Value, std::less<>>& values() { return values_; }
  const Traffic& traffic() const { return traffic_; }

  /// Told of requests of a kind, and of the bytes of their values; may be empty.
  using Counted = std::function<void(Verb verb, std::uint64_t requests, std::uint64_t bytes)>;

  /// A request of the calling process: takes its time, and calls `effect` at the moment when the
  /// store does it, which returns the bytes of values that come back. `bytes` are sent. Throws
  /// unavailable and Killed as the world's faults say.
  void request(Verb verb, std::string_view key, std::uint64_t bytes, const Counted& counted,
               const std::function<std::uint64_t()>& effect);
  /// The same for a batch, of which lanes_of() requests are under way at once: `effect` is called
  /// for each index. Large values count as their parts.
  void requests(Verb verb, const std::vector<std::string_view>& keys,
                const std::vector<std::uint64_t>& bytes, const Counted& counted,
                const std::function<std::uint64_t(std::size_t index)>& effect);

  /// A request that the store answers when it can: moves `bytes` to it, calls `effect` when they
  /// have arrived, which returns whether others may be answered now, and then `answer`, which
  /// returns the bytes that come back, or nullopt as long as it has to wait. Returns whether it was
  /// answered before the deadline. Counts as a PUT and, if it was, a GET, and takes the latency of
  /// a PUT. Only within a simulation.
  bool exchange(std::string_view key, std::uint64_t bytes, const std::function<bool()>& effect,
                const std::function<std::optional<std::uint64_t>()>& answer, Deadline deadline);

  /// What the store's code in storage/sim keeps with the values for all its handles: the sums of a
  /// store that adds up. Untyped, for this layer does not know their type, and for nobody else. For
  /// the simulation's thread.
  std::any annotation;

  /// For tests that give a store a defect: called in the simulation before and after each effect,
  /// with the process that asked for it. May change values().
  std::function<void(StoreModel&, Verb, std::string_view key, bool before,
                     std::string_view process)>
      on_effect;

  /// What waits for a key in a store that pushes.
  const void* tag_of(std::string_view key);

 private:
  /// What request() and requests() do. `parts`: how large values are counted.
  void make(Verb verb, const std::vector<std::string_view>& keys,
            const std::vector<std::uint64_t>& bytes, const PartLimits& parts,
            const Counted& counted, const std::function<std::uint64_t(std::size_t index)>& effect);
  /// What is left to happen of the faults of a batch.
  struct Befallen {
    bool fails_after = false, dies_after = false;
    double delay_s = 0;
  };
  /// Lets the world's faults befall the calls. Throws unavailable and Killed.
  Befallen befall(Verb verb, const std::vector<std::string_view>& keys);
  /// How many requests each key of a batch begins, none within one: in the order of the keys where
  /// the bytes of their values count, as clients that sort their keys do.
  std::vector<std::uint64_t> begun_by(Verb verb, const std::vector<std::string_view>& keys,
                                      const std::vector<std::uint64_t>& bytes) const;
  /// Counts the requests and bytes of one key.
  void count(Verb verb, std::uint64_t requests, std::uint64_t sent, std::uint64_t received);
  const Latency& latency_of(Verb verb) const;

  const StoreProfile profile_;
  World* const world_;
  std::map<std::string, Value, std::less<>> values_;
  Traffic traffic_;
  StoreLimits limits_;
  std::map<std::string, char, std::less<>> tags_;
};

/// What one run of a function was billed for.
struct FunctionRun {
  std::string function;
  double began_s = 0, ended_s = 0, memory_mb = 0;
  double init_s = 0;  ///< before it began
  bool was_killed = false;
};

/// A simulation with a profile. The simulated store and platform use that of the calling fiber.
class World {
 public:
  World(Simulation& simulation, Profile profile);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  /// That of the running simulation; null if it has none, or none runs.
  static World* current() noexcept;

  Simulation& simulation() { return simulation_; }
  const Profile& profile() const { return profile_; }
  /// Throws invalid_argument for a name that the profile does not have.
  const std::shared_ptr<StoreModel>& store(std::string_view name);

  std::shared_ptr<FunctionNetwork> new_network(double memory_mb) const;
  SharedLinks shared() { return {&vpc_, host_ ? &*host_ : nullptr}; }
  /// How one of `n` functions that are invoked at once starts.
  struct Start {
    double seconds = 0;  ///< from the invocation on
    double init_s = 0;   ///< of them, the cold start
  };
  Start next_start(std::size_t n);

  void ran(FunctionRun run) { runs_.push_back(std::move(run)); }
  const std::vector<FunctionRun>& runs() const { return runs_; }

  /// Bytes of values count as so many times as many, so that small vectors stand for large ones.
  double byte_scale = 1;
  /// Seconds that a function of one processor computes per row.
  double seconds_per_row = 0;
  /// Where functions share a host's processors: how many threads one has, which larger steps use.
  double threads = 1;
  /// Processor seconds that a function takes before its first step.
  double load_s = 0;
  /// Rows that functions have computed with, those of all passes.
  double computed_rows() const { return computed_rows_; }
  /// Decides about each call; empty: no faults.
  std::function<Fault(const Call&)> faults;
  /// Decides about each event of a function, by its number: whether it is delivered a second time,
  /// and how many seconds after the first; empty: never.
  std::function<std::optional<double>(std::uint64_t event)> invoked_again;
  /// Of such an event, whether this answer says only that the other delivery goes on.
  std::function<bool(const std::string& answer)> is_void;
  std::uint64_t next_event() { return events_++; }
  /// Told of each call and fault: a line of a trace.
  std::function<void(const std::string& line)> trace;
  std::uint64_t calls() const { return calls_; }
  Fault next_fault(const StoreModel& store, Verb verb, std::string_view key);

  /// Dollars of the functions' runs so far, of the requests and bytes, and of servers by the hour.
  double function_usd() const;
  double request_usd() const;
  double server_usd(double seconds) const;

 private:
  Simulation& simulation_;
  const Profile profile_;
  std::map<std::string, std::shared_ptr<StoreModel>, std::less<>> stores_;
  Link vpc_;
  /// The processors that all functions share: what computing and requests pass, and cold starts.
  std::optional<Link> host_, host_starts_;
  std::uint64_t calls_ = 0, events_ = 0;
  std::vector<FunctionRun> runs_;
  std::size_t started_ = 0;
  double computed_rows_ = 0;
};

std::string_view to_string(Verb verb);
std::string_view to_string(Fault::Kind kind);

}  // namespace lambdaml::sim
