#include "lambdaml/plan/planner.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/plan/round_model.h"

namespace lambdaml::plan {
namespace {

constexpr std::int64_t kPilotWorkers = 2;
constexpr std::int64_t kPilotEpochs = 2;
/// A pilot is run to its end if it takes no longer: jobs may converge before their last epoch. By
/// what its rows and rounds usually take, so that the same question has the same answer.
constexpr double kWholePilot_s = 0.5, kRoundOfPilot_s = 1e-4;
/// A pilot of a sample has several steps in an epoch, whatever the job's batches are.
constexpr double kStepsOfSample = 4;
/// Simulations of more rounds of workers take longer than a user waits.
constexpr double kMostSimulated = 50'000;
/// More aggregators are never better: their requests are what costs.
constexpr std::int64_t kMostAggregators = 64;
constexpr double kHeadBytes = 64;  ///< of a message

/// How large a job is: a pilot, or all of it.
struct Size {
  std::int64_t epochs = 1;
  double rows = 0, data_bytes = 0;
  double computed_rows = 0;  ///< of all passes
  double rounds = 0;         ///< by two workers, with the steps of the pilot
  double batch = 1;          ///< rows
};

/// Of a channel: what passes, and is billed of a function, beside starts, computing and rounds.
struct Fixed {
  double seconds = 0, billed_s = 0;
  double requests_usd = 0, requests = 0;  ///< of one worker
};

class Planner {
 public:
  explicit Planner(const Question& question) : question_(question) {
    for (const std::string& name : question.channels) question.profile.store(name);
    for (const sim::StoreProfile& store : question.profile.stores)
      if (question.channels.empty() ||
          std::ranges::find(question.channels, store.name) != question.channels.end())
        channels_.push_back(&store);
    // What a job leaves open is chosen as `train` chooses it.
    const Options resolved = in_world(question.job, world_of(channels_.front()->name));
    const std::string pattern = resolved.text("sync_mode");
    if (!comm::registry().get(pattern).bulk_synchronous)
      fail(Code::invalid_argument,
           "plan: workers of the pattern '{}' do not wait for each other, so that their rounds "
           "cannot be estimated; simulate takes such jobs",
           pattern);
    epochs_ = std::max<std::int64_t>(1, resolved.integer("epochs"));
    memory_mb_ = resolved.integer("memory_mb");
    whole_.batch = pilot_.batch =
        static_cast<double>(std::max<std::int64_t>(1, resolved.integer("batch_size")));
    if (question.rows)
      pilot_.batch = std::clamp(std::floor(static_cast<double>(question.rows->rows()) /
                                           (2 * kPilotWorkers * kStepsOfSample)),
                                1.0, whole_.batch);
    workers_ = resolved.integer("workers");
    comm::MergeSizes sizes{.workers = static_cast<std::uint32_t>(workers_),
                           .options = comm::pattern_options(resolved)};
    if (const double per_s = channels_.front()->put_per_s; per_s > 0) sizes.writes_per_s = per_s;
    const comm::Plugin& plugin = comm::registry().get(pattern);
    aggregators_ = plugin.aggregators ? plugin.aggregators(sizes) : 1;
    valid_ratio_ = resolved.real("valid_ratio");
  }

  Plan run() {
    Plan out;
    learn_facts();
    std::map<const sim::StoreProfile*, Fixed> fixed;
    for (const sim::StoreProfile* store : channels_) fixed[store] = pilot(*store);
    std::vector<Group> groups = groups_of_candidates();
    parallel_for(groups.size(), processors(),
                 [&](std::size_t i) { estimate_group(fixed.at(groups[i].store), groups[i]); });
    for (Group& group : groups) {
      out.considered += group.considered;
      std::ranges::move(group.candidates, std::back_inserter(out.candidates));
    }
    simulate_best(out.candidates);
    mark_front(out.candidates);
    if (!out.candidates.empty() && out.candidates.front().meets_limits) {
      out.best = 0;
      out.changes = changes(out.candidates);
    }
    out.hosts = on_hosts();
    return out;
  }

  Candidate estimate_as_it_is() {
    learn_facts();
    const sim::StoreProfile& store = *channels_.front();
    Candidate out = candidate(store, workers_, memory_mb_, std::min(aggregators_, workers_));
    estimate(store, pilot(store), whole_, out);
    return out;
  }

 private:
  SimulatedWorld world_of(const std::string& channel) const {
    SimulatedWorld world;
    world.profile = question_.profile;
    world.channel = channel;
    world.seconds_per_row = question_.seconds_per_row;
    world.staging_s = question_.staging_s;
    world.load_s = question_.load_s;
    world.rows = question_.rows ? question_.rows : question_.data;
    return world;
  }

  SimulatedRun simulate_one(const Candidate& candidate, std::int64_t epochs,
                            std::uint64_t seed) const {
    const SimulatedWorld world = world_of(candidate.channel);
    Options job = question_.job;
    const auto set = [&](const char* name, std::int64_t value) {
      job.set(name, Option::Value(value), name);
    };
    set("workers", candidate.workers);
    set("memory_mb", candidate.memory_mb);
    set("aggregators", candidate.aggregators);
    if (epochs != epochs_) set("epochs", epochs);
    if (question_.rows) set("batch_size", static_cast<std::int64_t>(pilot_.batch));
    return simulate(in_world(std::move(job), world), world, seed);
  }

  /// Candidates that differ in their aggregators only.
  struct Group {
    const sim::StoreProfile* store = nullptr;
    std::int64_t workers = 1, memory_mb = 0;
    std::size_t considered = 0;
    std::vector<Candidate> candidates = {};
  };

  std::vector<Group> groups_of_candidates() const {
    std::vector<Group> out;
    for (const sim::StoreProfile* store : channels_)
      for (const std::int64_t workers : worker_counts())
        for (const std::int64_t memory_mb : memories())
          out.push_back({.store = store, .workers = workers, .memory_mb = memory_mb});
    return out;
  }

  /// More aggregators always need more requests, and from some number on also more time, so that
  /// those beyond it, which take long to estimate, are worse in everything.
  void estimate_group(const Fixed& fixed, Group& group) const {
    constexpr double kLonger = 1.02;
    double least_s = std::numeric_limits<double>::infinity();
    const std::vector<std::int64_t> counts = aggregator_counts(group.workers);
    group.considered = counts.size();
    for (const std::int64_t aggregators : counts) {
      Candidate one = candidate(*group.store, group.workers, group.memory_mb, aggregators);
      estimate(*group.store, fixed, whole_, one);
      if (one.rounds_s > kLonger * least_s) return;
      least_s = std::min(least_s, one.rounds_s);
      group.candidates.push_back(std::move(one));
    }
  }

  static Candidate candidate(const sim::StoreProfile& store, std::int64_t workers,
                             std::int64_t memory_mb, std::int64_t aggregators) {
    Candidate out;
    out.channel = store.name;
    out.workers = workers;
    out.memory_mb = memory_mb;
    out.aggregators = aggregators;
    return out;
  }

  // ---- pilots ----

  /// From one epoch by two workers and one by four, and from all by two, or from two epochs where
  /// these take too long: both numbers go on as they begin.
  void learn_facts() {
    const sim::StoreProfile& store = *channels_.front();
    const auto run = [&](std::int64_t workers, std::int64_t epochs) {
      return simulate_one(candidate(store, workers, memory_mb_, 1), epochs, 1);
    };
    const SimulatedRun& one = pilot_of_first_ = run(kPilotWorkers, 1);
    const double epoch_s = question_.seconds_per_row * one.computed_rows +
                           kRoundOfPilot_s * static_cast<double>(one.rounds);
    pilot_.rows = one.rows;
    pilot_.data_bytes = one.data_bytes;
    pilot_.computed_rows = one.computed_rows;
    pilot_.rounds = static_cast<double>(one.rounds);
    const double times = question_.rows ? question_.all_rows / std::max(1.0, one.rows) : 1;
    whole_.rows = times * pilot_.rows;
    whole_.data_bytes = times * pilot_.data_bytes;
    whole_.epochs = epochs_;
    double computed_rows = pilot_.computed_rows;
    whole_.rounds = pilot_.rounds;
    if (epochs_ > 1) {
      const bool to_end =
          epochs_ <= kPilotEpochs || epoch_s * static_cast<double>(epochs_) < kWholePilot_s;
      const SimulatedRun more = run(kPilotWorkers, to_end ? epochs_ : kPilotEpochs);
      const double further = to_end ? 1 : static_cast<double>(epochs_ - 1);
      if (to_end) whole_.epochs = static_cast<std::int64_t>(more.epochs);
      whole_.rounds += further * (static_cast<double>(more.rounds) - pilot_.rounds);
      computed_rows += further * (more.computed_rows - pilot_.computed_rows);
    }
    whole_.computed_rows = times * computed_rows;
    const double by_four = static_cast<double>(run(2 * kPilotWorkers, 1).rounds);
    const double fewer =
        steps_of_epoch(pilot_, kPilotWorkers) - steps_of_epoch(pilot_, 2 * kPilotWorkers);
    // Where steps are not counted by rows, e.g. in epochs of an outer optimizer, rounds are as
    // many.
    has_steps_ = fewer > 0 && std::abs(pilot_.rounds - by_four - fewer) < 0.5 * fewer;
    // Of each round the one worker sends its message, and the other the result.
    message_bytes_ = static_cast<double>(one.bytes_sent) / 2 / std::max(1.0, pilot_.rounds);
  }

  Fixed pilot(const sim::StoreProfile& store) const {
    Candidate same = candidate(store, kPilotWorkers, memory_mb_, 1);
    const SimulatedRun run =
        &store == channels_.front() ? pilot_of_first_ : simulate_one(same, 1, 1);
    estimate(store, {}, pilot_, same);
    const double p = kPilotWorkers;
    const double billed_s =
        (run.functions_usd / p - question_.profile.functions.request) /
        std::max(1e-30, question_.profile.functions.gb_second * gigabytes(same));
    Fixed out;
    out.seconds = std::max(0.0, run.seconds - same.seconds);
    out.billed_s = std::max(0.0, billed_s - (same.seconds - same.start_s));
    if (question_.profile.functions.gb_second <= 0) out.billed_s = 0;
    out.requests_usd = std::max(0.0, run.requests_usd - usd_of_rounds(store, same)) / p;
    out.requests = std::max(0.0, static_cast<double>(run.requests()) - same.requests) / p;
    return out;
  }

  // ---- estimates ----

  static double gigabytes(const Candidate& candidate) {
    return static_cast<double>(candidate.memory_mb) / 1024;
  }

  /// Of the worker with the most rows.
  double steps_of_epoch(const Size& size, double workers) const {
    return std::ceil(std::ceil(size.rows * (1 - valid_ratio_) / workers) / size.batch);
  }

  double rounds_for(double workers, const Size& size) const {
    if (!has_steps_) return size.rounds;
    const double fewer = steps_of_epoch(pilot_, kPilotWorkers) - steps_of_epoch(size, workers);
    return std::max(1.0, size.rounds - static_cast<double>(size.epochs) * fewer);
  }

  /// The round's requests as they were estimated, and the price of their bytes.
  double usd_of_rounds(const sim::StoreProfile& store, const Candidate& candidate) const {
    const RoundEstimate each = round_of(store, candidate);
    const RoundRequests useful = requests_of(shape_of(candidate));
    const sim::StorePrices& prices = store.prices;
    const double chunk = message_bytes_ / static_cast<double>(candidate.aggregators);
    const auto units = [&](double bytes) { return std::max(1.0, std::ceil(chunk / bytes)); };
    return candidate.rounds *
           (each.puts * (prices.put + prices.put_gb * chunk / 1e9 + prices.put_kb * units(1024)) +
            each.gets * prices.get + (each.gets - useful.gets) * (prices.get_kb + prices.get_4kb) +
            useful.gets * (prices.get_gb * chunk / 1e9 + prices.get_kb * units(1024) +
                           prices.get_4kb * units(4096)) +
            each.removes * prices.remove);
  }

  Round shape_of(const Candidate& candidate) const {
    return {static_cast<std::uint32_t>(candidate.workers),
            static_cast<std::uint32_t>(candidate.aggregators),
            message_bytes_ + kHeadBytes * static_cast<double>(candidate.aggregators - 1)};
  }

  /// Small messages take the same time from functions of any memory.
  RoundEstimate round_of(const sim::StoreProfile& store, const Candidate& candidate) const {
    constexpr double kSmall = 20'000;
    const std::int64_t memory_mb = message_bytes_ < kSmall ? memory_mb_ : candidate.memory_mb;
    const auto key = std::tuple(store.name, candidate.workers, candidate.aggregators, memory_mb,
                                candidate.rounds);
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = rounds_.find(key); known != rounds_.end()) return known->second;
    }
    const RoundEstimate out =
        estimate_round(shape_of(candidate), store, question_.profile.functions,
                       static_cast<double>(memory_mb), candidate.rounds);
    const std::lock_guard lock(mutex_);
    return rounds_.emplace(key, out).first->second;
  }

  /// Fills in a candidate for a job of that size.
  void estimate(const sim::StoreProfile& store, const Fixed& fixed, const Size& size,
                Candidate& out) const {
    const sim::FunctionProfile& functions = question_.profile.functions;
    const auto memory = static_cast<double>(out.memory_mb);
    const auto p = static_cast<double>(out.workers);
    out.rounds = rounds_for(p, size);
    const RoundEstimate round = round_of(store, out);
    out.start_s = functions.starts_s.empty() ? functions.invoke.expected_longest(p) +
                                                   functions.cold_start.expected_longest(p)
                                             : sim::interpolated(functions.starts_s, p);
    // Functions that are processes of one machine share its processors.
    const double queue = functions.host_processors > 0
                             ? std::max(1.0, p / static_cast<double>(functions.host_processors))
                             : 1;
    out.start_s = std::max(out.start_s, queue * functions.cold_start.mean());
    // The slowest has a row more.
    const double share = std::ceil(size.rows / p) / std::max(1.0, size.rows);
    out.compute_s =
        (question_.seconds_per_row * size.computed_rows * share + functions.step_s * out.rounds) /
        functions.processors(memory);
    out.compute_s *= queue;  // of more threads, which only large steps use, nothing is said
    out.rounds_s = out.rounds * round.seconds;
    const double load_s =
        size.data_bytes / p /
        std::min(sim::interpolated(store.get_bytes_per_s, memory), functions.network.bytes_per_s);
    const double run_s = load_s + out.compute_s + out.rounds_s;
    out.seconds = fixed.seconds + out.start_s + run_s;
    out.requests = fixed.requests * p + out.rounds * (round.puts + round.gets + round.removes);
    out.servers_usd = store.prices.hour * out.seconds / 3600;
    out.usd =
        p * (functions.gb_second * gigabytes(out) * (run_s + fixed.billed_s) + functions.request) +
        usd_of_rounds(store, out) + fixed.requests_usd * p + out.servers_usd;
    out.seconds_p10 = out.seconds_p90 = out.estimated_s = out.seconds;
    out.usd_p10 = out.usd_p90 = out.estimated_usd = out.usd;
    judge(out);
  }

  void judge(Candidate& candidate) const {
    candidate.meets_limits =
        (question_.deadline_s <= 0 || candidate.seconds_p90 <= question_.deadline_s) &&
        (question_.budget_usd <= 0 || candidate.usd_p90 <= question_.budget_usd);
  }

  // ---- the order ----

  double worth(double seconds, double usd) const {
    switch (question_.aim) {
      case Aim::time:
        return seconds;
      case Aim::cost:
        return usd;
      case Aim::product:
        break;
    }
    return seconds * usd;
  }

  /// How far a candidate misses the limits, as a factor.
  double excess(const Candidate& candidate) const {
    double factor = 1;
    if (question_.deadline_s > 0)
      factor *= std::max(1.0, candidate.seconds_p90 / question_.deadline_s);
    if (question_.budget_usd > 0) factor *= std::max(1.0, candidate.usd_p90 / question_.budget_usd);
    return factor;
  }

  /// Where nothing costs anything, the fastest is the best.
  bool is_better(const Candidate& a, const Candidate& b) const {
    if (a.meets_limits != b.meets_limits) return a.meets_limits;
    if (!a.meets_limits) return excess(a) < excess(b);
    return std::tuple(worth(a.seconds, a.usd), a.seconds, a.usd) <
           std::tuple(worth(b.seconds, b.usd), b.seconds, b.usd);
  }

  void sort(std::vector<Candidate>& all) const {
    std::ranges::stable_sort(
        all, [&](const Candidate& a, const Candidate& b) { return is_better(a, b); });
  }

  /// The best one is simulated, until ten were: then what is best has been.
  void simulate_best(std::vector<Candidate>& all) const {
    const Stopwatch clock;
    sort(all);
    for (int left = question_.simulated; left > 0 && clock.seconds() < question_.patience_s;
         --left) {
      const auto next = std::ranges::find_if(all, [](const Candidate& one) {
        return !one.is_simulated && static_cast<double>(one.workers) * one.rounds < kMostSimulated;
      });
      if (next == all.end()) return;
      try {
        refine(*next);
      } catch (const Error& error) {
        // It cannot run so: it lacks memory or time, or has more workers than rows. Others may.
        const bool cannot = error.code() == Code::resource_exhausted ||
                            error.code() == Code::deadline_exceeded ||
                            error.code() == Code::invalid_argument;
        if (!cannot || all.size() == 1) throw;
        all.erase(next);
        continue;
      }
      sort(all);
    }
  }

  void refine(Candidate& candidate) const {
    std::vector<double> seconds, usd, servers_usd;
    for (int seed = 1; seed <= question_.seeds; ++seed) {
      const SimulatedRun run = simulate_one(candidate, epochs_, static_cast<std::uint64_t>(seed));
      seconds.push_back(run.seconds);
      usd.push_back(run.usd());
      servers_usd.push_back(run.servers_usd);
      candidate.requests = static_cast<double>(run.requests());
      candidate.rounds = static_cast<double>(run.rounds);
    }
    candidate.seconds = quantile(seconds, 0.5);
    candidate.seconds_p10 = quantile(seconds, 0.1);
    candidate.seconds_p90 = quantile(seconds, 0.9);
    candidate.usd = quantile(usd, 0.5);
    candidate.servers_usd = quantile(servers_usd, 0.5);
    candidate.usd_p10 = quantile(usd, 0.1);
    candidate.usd_p90 = quantile(usd, 0.9);
    candidate.is_simulated = true;
    judge(candidate);
  }

  static void mark_front(std::vector<Candidate>& all) {
    std::vector<Candidate*> by_time;
    for (Candidate& candidate : all) by_time.push_back(&candidate);
    std::ranges::stable_sort(
        by_time, {}, [](const Candidate* one) { return std::pair(one->seconds, one->usd); });
    double cheapest = std::numeric_limits<double>::infinity();
    for (Candidate* const candidate : by_time) {
      candidate->is_on_front = candidate->usd < cheapest;
      cheapest = std::min(cheapest, candidate->usd);
    }
  }

  std::vector<Change> changes(const std::vector<Candidate>& all) const {
    struct Case {
      const char* when;
      double compute, rounds;
    };
    constexpr Case kCases[] = {{"a row took twice as long", 2, 1},
                               {"a row took half as long", 0.5, 1},
                               {"requests took twice as long", 1, 2},
                               {"requests took half as long", 1, 0.5}};
    std::vector<Change> out;
    for (const Case& one : kCases) {
      std::vector<Candidate> then = all;
      for (Candidate& candidate : then) {
        const double more_s =
            (one.compute - 1) * candidate.compute_s + (one.rounds - 1) * candidate.rounds_s;
        const double more_usd = static_cast<double>(candidate.workers) *
                                question_.profile.functions.gb_second * gigabytes(candidate) *
                                more_s;
        candidate.seconds += more_s;
        candidate.seconds_p90 += more_s;
        candidate.usd += more_usd;
        candidate.usd_p90 += more_usd;
        judge(candidate);
      }
      const auto best = std::ranges::min_element(
          then, [&](const Candidate& a, const Candidate& b) { return is_better(a, b); });
      if (best != then.begin())
        out.push_back({one.when, static_cast<std::size_t>(best - then.begin())});
    }
    return out;
  }

  // ---- what is considered ----

  /// Each worker has a row at least.
  std::vector<std::int64_t> worker_counts() const {
    const std::int64_t most =
        std::clamp(static_cast<std::int64_t>(whole_.rows), std::int64_t{1}, question_.most_workers);
    std::set<std::int64_t> out{most};
    for (std::int64_t n = 1; n < most; n *= 2) out.insert(n);
    return {out.begin(), out.end()};
  }

  std::vector<std::int64_t> memories() const {
    const sim::FunctionProfile& functions = question_.profile.functions;
    std::set<std::int64_t> out{memory_mb_};
    if (functions.host_processors > 0) return {memory_mb_};  // which changes nothing there
    for (const double processors : {0.5, 1.0, 2.0}) {
      const double mb = std::ceil(processors * functions.mb_per_processor);
      if (mb >= functions.least_mb && mb <= functions.most_mb)
        out.insert(static_cast<std::int64_t>(mb));
    }
    return {out.begin(), out.end()};
  }

  /// A vector has at most as many chunks as numbers.
  std::vector<std::int64_t> aggregator_counts(std::int64_t workers) const {
    const auto numbers = static_cast<std::int64_t>((message_bytes_ - kHeadBytes) / 4);
    const std::int64_t most =
        std::max<std::int64_t>(1, std::min({workers, kMostAggregators, numbers}));
    std::set<std::int64_t> out{1, most};
    for (std::int64_t n = 4; n < most; n *= 4) out.insert(n);
    return {out.begin(), out.end()};
  }

  std::vector<OnHost> on_hosts() const {
    std::vector<OnHost> out;
    for (const sim::HostProfile& host : question_.profile.hosts) {
      const double compute_s =
          question_.seconds_per_row * whole_.computed_rows / host.processors / host.speed;
      const double seconds = host.starts_s + whole_.data_bytes / host.bytes_per_s + compute_s;
      out.push_back({host.name, seconds, host.hour * seconds / 3600});
    }
    return out;
  }

  const Question& question_;
  std::vector<const sim::StoreProfile*> channels_;
  std::int64_t epochs_ = 1, memory_mb_ = 0, workers_ = 1, aggregators_ = 1;
  double valid_ratio_ = 0;
  Size pilot_, whole_;
  /// Steps of an epoch follow from the rows of a batch, and the rest of its rounds is the same for
  /// any number of workers; or no round of it is a step.
  bool has_steps_ = false;
  double message_bytes_ = 0;
  SimulatedRun pilot_of_first_;  ///< over the first channel
  mutable std::mutex mutex_;
  mutable std::map<std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t, double>,
                   RoundEstimate>
      rounds_;
};

}  // namespace

Plan plan(const Question& question) { return Planner(question).run(); }

Candidate estimate_as_it_is(const Question& question) {
  return Planner(question).estimate_as_it_is();
}

}  // namespace lambdaml::plan
